package apiserver

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	bulkPath       = "/bulk-sends"
	maxBulkLines   = 1_000_000
	maxBulkLine    = 256 << 10 // bytes
	bulkBatch      = 500       // lines of one transaction
	bulkBatchBytes = 4 << 20   // of the lines of one transaction
	bulkStall      = 60 * time.Second
	shownErrors    = 100
)

// BulkAccepted is the answer to an upload.
type BulkAccepted struct {
	ID       string      `json:"id" example:"blk_01h455vb4pex5vsknk084sn02q"`
	Status   string      `json:"status" enum:"running,completed" doc:"Completed when no line was accepted" example:"running"`
	Accepted int         `json:"accepted" doc:"Lines that are on disk and will be sent"`
	Rejected int         `json:"rejected" doc:"Lines that are not"`
	Errors   []BulkError `json:"errors" doc:"The first 100; GET /bulk-sends/{id}/errors has more"`
}

func (s *Server) registerBulkUpload(tags []string) {
	registry := s.api.OpenAPI().Components.Schemas
	lines := &huma.Schema{OneOf: []*huma.Schema{
		registry.Schema(reflect.TypeFor[BulkEmail](), true, ""), registry.Schema(reflect.TypeFor[BulkLine](), true, ""),
	}}
	register(s, forTenants(apikey.EmailsSend), keyed(huma.Operation{
		OperationID: "create-bulk-send", Method: http.MethodPost, Path: bulkPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send an email to up to 1,000,000 recipients",
		Description: "The body is NDJSON: a BulkEmail on the first line, which all share, then a BulkLine on each. It is read as it comes. " +
			"A line that is wrong is reported by its number, and leaves the others alone. Nothing is sent before the upload is " +
			"complete; an upload that is cut off is cancelled. 202 means that all accepted lines are on disk and will be sent. " +
			"With an Idempotency-Key an upload is repeated as a whole: when the first one was answered, or would have been, the " +
			"answer is its; when it is under way, 409 idempotency_key_in_progress; when it was cut off, the repeat is taken in in its " +
			"place, up to a minute later if the server has crashed. Another body is 409 idempotency_key_reused. " +
			"An upload of which no line was accepted is not remembered.",
		Errors: []int{
			http.StatusConflict, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		},
		Middlewares: huma.Middlewares{s.takeUpload},
	}), s.createBulkSend)
	// What the document says of a body, huma reads and checks: this one is documented after it.
	s.api.OpenAPI().Paths[prefix+bulkPath].Post.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: lines}},
	}
}

type uploadKey struct{}

// takeUpload gives the handler the body as it comes: huma would read all of it first.
func (s *Server) takeUpload(hc huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hc)
	if kind, _, _ := mime.ParseMediaType(hc.Header("Content-Type")); kind != "application/x-ndjson" {
		writeProblem(w, newProblem(hc.Context(), http.StatusUnsupportedMediaType, "unsupported_media_type",
			"Send the lines as application/x-ndjson."))
		return
	}
	up := &upload{body: r.Body, control: http.NewResponseController(w), stall: s.Uploads.Stall, key: hc.Header(idempotencyKey)}
	serve := func() { next(huma.WithContext(hc, context.WithValue(hc.Context(), uploadKey{}, up))) }
	if up.key == "" {
		serve()
		return
	}
	up.hash = newRequestHash(r)
	if err := s.onceRequest(hc).serveUpload(hc, up, serve); err != nil {
		writeProblem(w, s.problem(hc.Context(), err))
	}
}

// upload is the body of a request, which has to make progress.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	stall   time.Duration
	key     string    // idempotency key; may be empty
	hash    hash.Hash // of the request, as far as it was read; nil without a key
}

// Read waits for the client, but not for ever.
func (u *upload) Read(p []byte) (int, error) {
	_ = u.control.SetReadDeadline(time.Now().Add(u.stall)) // where there is no deadline, there is none
	n, err := u.body.Read(p)
	if u.hash != nil {
		_, _ = u.hash.Write(p[:n]) // a hash takes everything
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if wrong, ok := asType[net.Error](err); ok && wrong.Timeout() {
		return n, fault.Wrap(err, fault.TimedOut, "body_timeout", "The body made no progress for %s.", u.stall)
	}
	return n, fault.Wrap(err, fault.Malformed, "upload_cut_off", "The body ended before its end. Nothing is sent.")
}

type bulkOutput struct {
	RateLimitHeaders
	Body BulkAccepted
}

func (s *Server) createBulkSend(ctx context.Context, _ *struct{ TenantHeader }) (*bulkOutput, error) {
	up, _ := ctx.Value(uploadKey{}).(*upload)
	lines := &lineReader{r: bufio.NewReaderSize(up, 64<<10)}
	first, err := lines.next(maxBody)
	if err != nil {
		return nil, firstLineFault(err)
	}
	b, err := s.compileBulk(ctx, caller(ctx), first)
	if err != nil {
		return nil, err
	}
	b.shared.TraceParent = telemetry.TraceParent(ctx)
	w := &bulkUpload{Server: s, bulkCompiler: b, id: id.New(), lines: lines, hash: up.hash}
	if err := s.Store.CreateBulkSend(ctx, w.id, b.name, up.key, b.shared, time.Now()); err != nil {
		return nil, err
	}
	status, err := w.run(ctx)
	if err != nil {
		// An upload whose end was written, though the database did not come to say so, has ended.
		if status = w.cancel(ctx); status != store.BulkRunning && status != store.BulkCompleted {
			return nil, err
		}
	}
	if status == store.BulkRunning {
		w.start(ctx)
	}
	return &bulkOutput{RateLimitHeaders: rateLimitHeaders(w.quota), Body: w.show(status)}, nil
}

func firstLineFault(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fault.New(fault.Malformed, "malformed_request", "The body is empty; its first line is what all emails share.")
	case errors.Is(err, errLineTooLong):
		return fault.New(fault.TooLarge, "body_too_large", "The first line has more than %d bytes.", maxBody)
	}
	return err
}

// bulkUpload is an upload on its way in. While a batch is written, the next is read.
type bulkUpload struct {
	*Server
	*bulkCompiler
	id    uuid.UUID
	lines *lineReader
	hash  hash.Hash // of the request; nil without an idempotency key

	accepted, rejected int
	errors             []store.BulkError // the first ones
	quota              quota.Standing    // after the last batch
}

func (w *bulkUpload) show(status store.BulkStatus) BulkAccepted {
	out := BulkAccepted{
		ID: id.BulkSend.Format(w.id), Status: string(status), Accepted: w.accepted, Rejected: w.rejected,
		Errors: make([]BulkError, len(w.errors)),
	}
	for i, e := range w.errors {
		out.Errors[i] = BulkError(e)
	}
	return out
}

// answer is what is kept for the idempotency key of the upload, which has been read to its end.
func (w *bulkUpload) answer(status store.BulkStatus) (store.Answer, error) {
	var text bytes.Buffer
	err := huma.DefaultJSONFormat.Marshal(&text, w.show(status))
	return store.Answer{Hash: w.hash.Sum(nil), Status: http.StatusAccepted, Body: text.Bytes()}, err
}

func (w *bulkUpload) run(ctx context.Context) (store.BulkStatus, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches, written := make(chan store.BulkBatch), make(chan error, 1)
	go func() { written <- w.write(ctx, stop, batches) }()
	readErr := w.read(ctx, batches)
	close(batches)
	writeErr := <-written
	if readErr != nil && !errors.Is(readErr, context.Canceled) {
		return "", readErr // also when a batch failed for it: net/http ends the request when its body does
	}
	if err := cmp.Or(writeErr, readErr); err != nil {
		return "", err
	}
	return w.Store.CompleteBulkSend(ctx, w.tenant.ID, w.id, w.answer, time.Now())
}

// write writes batches until there are no more, and says meanwhile that the upload is under
// way; what goes wrong stops the reading.
func (w *bulkUpload) write(ctx context.Context, stop func(), batches <-chan store.BulkBatch) error {
	beat := time.NewTicker(w.Uploads.Beat)
	defer beat.Stop()
	for {
		var err error
		select {
		case batch, more := <-batches:
			if !more {
				return nil
			}
			err = w.add(ctx, batch)
		case <-beat.C:
			err = w.Store.KeepUploading(ctx, w.tenant.ID, w.id, time.Now())
			if fault.KindOf(err) == fault.Unavailable {
				err = nil // the next batch may find the database there
			}
		}
		if err != nil {
			stop()
			return err
		}
	}
}

func (w *bulkUpload) add(ctx context.Context, batch store.BulkBatch) error {
	done, err := w.Store.AddBulkBatch(ctx, w.id, w.shared, batch, time.Now())
	if err != nil {
		return err
	}
	w.accepted += len(done.Lines)
	w.rejected += done.Rejected
	w.errors = append(w.errors, done.Errors[:min(len(done.Errors), shownErrors-len(w.errors))]...)
	w.quota = done.Quota
	return nil
}

// read reads lines, a batch at a time.
func (w *bulkUpload) read(ctx context.Context, batches chan<- store.BulkBatch) error {
	var batch store.BulkBatch
	read, size := 0, 0
	flush := func() error {
		select {
		case batches <- batch:
			batch, size = store.BulkBatch{}, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		raw, err := w.lines.next(maxBulkLine)
		switch {
		case errors.Is(err, io.EOF):
			if len(batch.Lines)+batch.Rejected == 0 {
				return nil
			}
			return flush()
		case err != nil && !errors.Is(err, errLineTooLong):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if read++; read > w.Uploads.Lines {
			return fault.New(fault.TooLarge, "too_many_lines", "A bulk send has at most %d lines; nothing is sent.", w.Uploads.Lines)
		}
		size += len(raw)
		w.compile(&batch, raw, err != nil)
		if len(batch.Lines)+batch.Rejected >= bulkBatch || size >= bulkBatchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

func (w *bulkUpload) compile(batch *store.BulkBatch, raw []byte, tooLong bool) {
	if tooLong {
		batch.Rejected++
		batch.Errors = append(batch.Errors, store.BulkError{
			Line: w.lines.number, Code: "too_large", Message: "the line has more than 256 kB",
		})
		return
	}
	line, errs := w.line(w.lines.number, raw)
	if len(errs) > 0 {
		batch.Rejected++
		batch.Errors = append(batch.Errors, errs...)
		return
	}
	batch.Lines = append(batch.Lines, line)
}

// cancel takes back an upload that failed, unless it has ended after all, and gives its status.
// What can not be taken back now is later, when nobody has said for a while that it is under way.
func (w *bulkUpload) cancel(ctx context.Context) store.BulkStatus {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	now := time.Now()
	status, err := w.Store.CancelUpload(ctx, w.tenant.ID, w.id, now, now)
	if err != nil {
		w.log.WarnContext(ctx, "upload is cancelled later", slog.Any("error", err))
	}
	return status
}

// start starts the workflow. When that fails it is started later: the upload is on disk.
func (w *bulkUpload) start(ctx context.Context) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	runID, err := w.Flow.StartBulkSend(ctx, w.tenant.ID, w.id, w.shared.Class, w.accepted)
	if err == nil {
		err = w.Store.SetBulkSendRun(ctx, w.tenant.ID, w.id, runID)
	}
	if err != nil {
		w.log.WarnContext(ctx, "bulk send is started later", slog.Any("error", err))
	}
}

// asType is errors.As with the type as a parameter.
func asType[T error](err error) (target T, ok bool) {
	ok = errors.As(err, &target)
	return target, ok
}

// clip shortens foreign text for a report.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
