package apiserver

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Patience is how long the server waits for a client, and a request for the database. What is zero is as the product
// promises it.
type Patience struct {
	Header   time.Duration // for all of the header; 10 s
	Body     time.Duration // for all of a body, where the operation says nothing else; 30 s
	Write    time.Duration // for the client to take a piece of the answer; 30 s
	Idle     time.Duration // for the next request on a connection; 2 m
	Database time.Duration // to say whose a key is; 5 s
}

func (p Patience) withDefaults() Patience {
	return Patience{
		Header: cmp.Or(p.Header, 10*time.Second), Body: cmp.Or(p.Body, 30*time.Second),
		Write: cmp.Or(p.Write, 30*time.Second), Idle: cmp.Or(p.Idle, 2*time.Minute), Database: cmp.Or(p.Database, 5*time.Second),
	}
}

// maxHeader is how large the header of a request can be, in bytes.
const maxHeader = 64 << 10

// HTTP is the server as it listens. Its time limits for bodies and answers are set by request, since an upload of a bulk
// send may take as long as it makes progress.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s, ReadHeaderTimeout: s.Patience.Header, IdleTimeout: s.Patience.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// hurry gives each request time limits, so that no client keeps a connection by being slow. An operation that reads its
// body sets its own instead.
func (s *Server) hurry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &hurried{ResponseWriter: w, control: http.NewResponseController(w), patience: s.Patience, ended: r.ContentLength == 0}
		_ = h.control.SetWriteDeadline(time.Time{}) // of the request before; where there is no deadline, there is none
		if h.ended {
			next.ServeHTTP(h, r)
			return
		}
		_ = h.control.SetReadDeadline(time.Now().Add(s.Patience.Body))
		r.Body = &hurriedBody{r.Body, h}
		next.ServeHTTP(h, r)
		h.leave()
	})
}

// hurried gives the client a time limit for each piece of the answer.
type hurried struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience Patience
	ended    bool // there is no body, or all of it was read
}

// limit lets the next piece be written. Before the first one net/http reads on in a body that has not ended.
func (h *hurried) limit() {
	until := time.Now().Add(h.patience.Write)
	if !h.ended {
		until = until.Add(h.patience.Body)
	}
	_ = h.control.SetWriteDeadline(until)
}

// leave is for a body that was not read to its end, which net/http reads on in to get at the next request.
func (h *hurried) leave() {
	if !h.ended {
		_ = h.control.SetReadDeadline(time.Now().Add(h.patience.Body))
		h.limit()
	}
}

// WriteHeader begins the answer.
func (h *hurried) WriteHeader(status int) {
	h.limit()
	h.ResponseWriter.WriteHeader(status)
}

// Write writes a piece of the answer.
func (h *hurried) Write(p []byte) (int, error) {
	h.limit()
	return h.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (h *hurried) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// hurriedBody takes the time limit away when the body has ended: it would end the request otherwise, however long the
// server takes for it.
type hurriedBody struct {
	io.ReadCloser
	of *hurried
}

// Read reads from the body.
func (b *hurriedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.of.ended = true
		_ = b.of.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
