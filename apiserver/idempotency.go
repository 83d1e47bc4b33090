package apiserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
)

const maxIdempotencyKey = 255 // characters

// creates is an operation that creates something: a request with an Idempotency-Key that is
// repeated within 24 hours gets the answer of the first.
func (s *Server) creates(op huma.Operation) huma.Operation { return s.once(op, false) }

// createsSecret is one whose answer has a secret. It is kept sealed with the caller's own key.
func (s *Server) createsSecret(op huma.Operation) huma.Operation { return s.once(op, true) }

func (s *Server) once(op huma.Operation, secret bool) huma.Operation {
	op = keyed(op)
	op.Middlewares = append(op.Middlewares, func(hc huma.Context, next func(huma.Context)) {
		if hc.Header(idempotencyKey) == "" {
			next(hc)
			return
		}
		r := s.onceRequest(hc)
		r.secret = secret
		if err := r.serve(hc, next); err != nil {
			_, w := humachi.Unwrap(hc)
			writeProblem(w, s.problem(hc.Context(), err))
		}
	})
	return op
}

const idempotencyKey = "Idempotency-Key"

// keyed documents that an operation heeds the header.
func keyed(op huma.Operation) huma.Operation {
	longest := maxIdempotencyKey
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: idempotencyKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest},
		Description: "Yours. A request that is repeated with it within 24 hours gets the first one's answer, with Idempotency-Replayed: true.",
	})
	if !slices.Contains(op.Errors, http.StatusConflict) {
		op.Errors = append(op.Errors, http.StatusConflict)
	}
	return op
}

func (s *Server) onceRequest(hc huma.Context) *onceRequest {
	return &onceRequest{
		Server: s, ctx: hc.Context(), key: onceKey{caller(hc.Context()).ID, hc.Header(idempotencyKey)},
		authorization: hc.Header("Authorization"),
	}
}

// onceKey is an idempotency key of a tenant, or of an operator.
type onceKey struct{ tenantID, key string }

func (k onceKey) check() error {
	if len(k.key) <= maxIdempotencyKey && !bytes.ContainsFunc([]byte(k.key), func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return nil
	}
	return fault.InvalidFields(fault.Field{
		Location: "header." + idempotencyKey, Code: "invalid_value", Message: "a key has 1 to 255 printable ASCII characters",
	})
}

// onceRequest is a request with an idempotency key.
type onceRequest struct {
	*Server
	ctx    context.Context
	key    onceKey
	secret bool
	// authorization is the header of the caller, with which secrets are sealed.
	authorization string
	hash          []byte
	// kept: the answer was kept by the transaction that did what was asked for, or is not
	// to be. early: it says more now than it did then.
	kept, early bool
}

type onceContextKey struct{}

func (r *onceRequest) serve(hc huma.Context, next func(huma.Context)) error {
	if err := r.key.check(); err != nil {
		return err
	}
	_, w := humachi.Unwrap(hc)
	request, err := r.read(hc)
	if err != nil { // to be refused
		next(humachi.NewContext(hc.Operation(), request, w))
		return nil
	}
	if !r.running.begin(r.key) {
		return store.KeyInProgress()
	}
	defer r.running.end(r.key)
	answer, err := r.Store.Answer(r.ctx, r.key.tenantID, r.key.key, time.Now())
	if err == nil {
		return r.replay(hc, w, answer)
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	record := &recorder{ResponseWriter: w, status: http.StatusOK}
	request = request.WithContext(context.WithValue(r.ctx, onceContextKey{}, r))
	next(humachi.NewContext(hc.Operation(), request, record))
	r.keep(record)
	return nil
}

// read reads the body for its hash, and gives the request with the body to be read again,
// also when that will fail again. What is beyond the limit is left to be refused.
func (r *onceRequest) read(hc huma.Context) (*http.Request, error) {
	request, _ := humachi.Unwrap(hc)
	op := hc.Operation()
	if op.RequestBody != nil { // else the deadline would be that of the connection, on which nothing is to come
		_ = hc.SetReadDeadline(time.Now().Add(op.BodyReadTimeout)) // where there is no deadline, there is none
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, op.MaxBodyBytes+1))
	sum := newRequestHash(request)
	_, _ = sum.Write(body) // a hash takes everything
	r.hash = sum.Sum(nil)
	again := request.Clone(r.ctx)
	rest := io.Reader(request.Body)
	if err != nil {
		rest = broken{err}
	}
	again.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), rest))
	return again, err
}

// newRequestHash is the hash of a request before its body.
func newRequestHash(r *http.Request) hash.Hash {
	sum := sha256.New()
	_, _ = io.WriteString(sum, r.Method+" "+r.URL.Path+"\n") // a hash takes everything
	return sum
}

// serveUpload serves an upload, which is too large to be kept: it is hashed as it comes. Its
// answer is kept by the transaction that ends it.
func (r *onceRequest) serveUpload(hc huma.Context, up *upload, next func()) error {
	if err := r.key.check(); err != nil {
		return err
	}
	if !r.running.begin(r.key) {
		return store.KeyInProgress()
	}
	defer r.running.end(r.key)
	answer, err := r.Store.Answer(r.ctx, r.key.tenantID, r.key.key, time.Now())
	if fault.KindOf(err) == fault.NotFound {
		next()
		return nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, up)
	}
	if err != nil {
		return err
	}
	r.hash = up.hash.Sum(nil)
	_, w := humachi.Unwrap(hc)
	return r.replay(hc, w, answer)
}

// broken is the rest of a body that could not be read.
type broken struct{ err error }

// Read gives the error again.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

func (r *onceRequest) replay(hc huma.Context, w http.ResponseWriter, a store.Answer) error {
	body, ok := a.Body, bytes.Equal(a.Hash, r.hash)
	if ok && r.secret {
		body, ok = apikey.Unseal(r.authorization, a.Body)
	}
	if !ok {
		return store.KeyReused()
	}
	if a.Location != "" {
		w.Header().Set("Location", a.Location)
	}
	if tagged(hc.Operation(), strconv.Itoa(a.Status)) {
		w.Header().Set("ETag", tagOfBody(body))
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(body) // the client is gone if this fails
	return nil
}

// keep keeps a good answer, unless that was done already. Others are not kept: what was
// refused can be tried again.
func (r *onceRequest) keep(record *recorder) {
	if record.status >= http.StatusMultipleChoices || (r.kept && !r.early) {
		return
	}
	k := r.answer(record.status, record.Header().Get("Location"), record.body.Bytes())
	ctx := context.WithoutCancel(r.ctx)
	var err error
	if r.early {
		err = r.Store.AmendAnswer(ctx, k)
	} else {
		err = r.Store.KeepAnswer(ctx, k.TenantID, k.Key, k.Answer, k.Now)
	}
	if err != nil {
		r.log.ErrorContext(r.ctx, "answer to an idempotency key was not kept", slog.Any("error", err))
	}
}

// answer is what is kept of an answer.
func (r *onceRequest) answer(status int, location string, body []byte) store.Kept {
	if r.secret {
		body = apikey.Seal(r.authorization, body)
	}
	return store.Kept{
		TenantID: r.key.tenantID, Key: r.key.key, Now: time.Now(),
		Answer: store.Answer{Hash: r.hash, Status: status, Location: location, Body: body},
	}
}

// keepCreated has the transaction that creates something keep the answer to it; nothing
// for a request without an idempotency key.
func keepCreated[T any](ctx context.Context, show func(T) (any, error)) []store.Keep[T] {
	return keepAnswer(ctx, http.StatusCreated, show)
}

// keepAnswer is keepCreated for an answer with another status.
func keepAnswer[T any](ctx context.Context, status int, show func(T) (any, error)) []store.Keep[T] {
	r, ok := ctx.Value(onceContextKey{}).(*onceRequest)
	if !ok {
		return nil
	}
	return []store.Keep[T]{func(created T) (store.Kept, error) {
		shown, err := show(created)
		if err != nil {
			return store.Kept{}, err
		}
		var body bytes.Buffer
		if err := huma.DefaultJSONFormat.Marshal(&body, shown); err != nil {
			return store.Kept{}, err
		}
		r.kept = true
		return r.answer(status, "", body.Bytes()), nil
	}}
}

// amendAnswer has an answer that a transaction has kept replaced by the one that goes out.
func amendAnswer(ctx context.Context) {
	if r, ok := ctx.Value(onceContextKey{}).(*onceRequest); ok {
		r.early = true
	}
}

// onceAnswer has the transaction that accepts a request's emails keep the answer to it;
// nil for a request without an idempotency key.
func onceAnswer(ctx context.Context, status int, show func([]intake.Receipt) any) *intake.Answer {
	r, ok := ctx.Value(onceContextKey{}).(*onceRequest)
	if !ok {
		return nil
	}
	return &intake.Answer{Key: r.key.key, Hash: r.hash, Render: func(receipts []intake.Receipt) (int, []byte, error) {
		var body bytes.Buffer
		err := huma.DefaultJSONFormat.Marshal(&body, show(receipts))
		r.kept = true
		return status, body.Bytes(), err
	}}
}

// keepNothing has the answer to a request that did nothing not be kept, so that it can be
// tried again.
func keepNothing(ctx context.Context) {
	if r, ok := ctx.Value(onceContextKey{}).(*onceRequest); ok {
		r.kept = true
	}
}

// recorder remembers an answer as it goes out.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write remembers a part of the body.
func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// running are the keys of requests that are under way in this process.
type running struct {
	mu   sync.Mutex
	keys map[onceKey]bool
}

func (r *running) begin(k onceKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys[k] {
		return false
	}
	if r.keys == nil {
		r.keys = map[onceKey]bool{}
	}
	r.keys[k] = true
	return true
}

func (r *running) end(k onceKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, k)
}
