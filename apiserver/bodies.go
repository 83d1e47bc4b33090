package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/mailtura/mailtura/internal/intake"
)

// What the bodies of all requests that are under way may have together, in bytes. What is made
// of them takes a few times as much memory. The beginning of each does not count, so that those
// of ordinary size are read whatever others do.
const (
	maxBodies = 128 << 20
	smallBody = 64 << 10
)

// limitBody refuses a body that says beforehand that it is too large, and one that there is no
// memory for, however many come at the same time and however slowly. For that counts what has
// arrived, so that nobody takes the room of others by announcing much. Uploads, which are not
// kept in memory, have limits of their own.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ContentLength == 0 || r.URL.Path == prefix+bulkPath:
			next.ServeHTTP(w, r)
		case r.ContentLength <= maxBody:
			b := &heldBody{ReadCloser: r.Body, all: &s.bodies}
			defer b.release()
			r.Body = b
			next.ServeHTTP(w, r)
		default:
			if r.Header.Get("Expect") == "" {
				_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // an error only means that the client is gone
			}
			writeProblem(w, newProblem(r.Context(), http.StatusRequestEntityTooLarge, "body_too_large",
				fmt.Sprintf("The request body has %d bytes; at most %d are allowed.", r.ContentLength, maxBody)))
		}
	})
}

// heldBody is a body whose bytes count until the end of its request.
type heldBody struct {
	io.ReadCloser
	all  *atomic.Int64
	read int64
	held int64
}

// Read reads as long as there is room.
func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	more := max(0, b.read-smallBody) - b.held
	b.held += more
	if more > 0 && b.all.Add(more) > maxBodies {
		return 0, intake.Overloaded()
	}
	return n, err
}

func (b *heldBody) release() { b.all.Add(-b.held) }
