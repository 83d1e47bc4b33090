package apiserver

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/mailtura/mailtura/internal/fault"
)

// What the bodies of all requests that are under way may have together, in bytes. What is made
// of them takes a few times as much memory. The beginning of each does not count, so that those
// of ordinary size are read whatever others do.
const (
	maxBodies = 128 << 20
	smallBody = 64 << 10
)

// limitBodies refuses a body when there is no memory for it, however many come at the same time
// and however slowly. What counts is what has arrived, so that nobody takes the room of others
// by announcing much. Uploads are not kept in memory.
func (s *Server) limitBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 || r.URL.Path == prefix+bulkPath {
			next.ServeHTTP(w, r)
			return
		}
		b := &heldBody{ReadCloser: r.Body, all: &s.bodies}
		defer b.release()
		r.Body = b
		next.ServeHTTP(w, r)
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
		return 0, fault.New(fault.Unavailable, "overloaded", "The server has more to accept than it can; nothing was sent.")
	}
	return n, err
}

func (b *heldBody) release() { b.all.Add(-b.held) }
