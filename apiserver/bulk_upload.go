package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
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
	register(s, tenantAccess, huma.Operation{
		OperationID: "create-bulk-send", Method: http.MethodPost, Path: bulkPath, Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send an email to up to 1,000,000 recipients",
		Description: "The body is NDJSON: a BulkEmail on the first line, which all share, then a BulkLine on each. It is read as it comes. " +
			"A line that is wrong is reported by its number, and leaves the others alone. Nothing is sent before the upload is " +
			"complete; an upload that is cut off is cancelled. 202 means that all accepted lines are on disk and will be sent.",
		Errors: []int{
			http.StatusConflict, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		},
		Middlewares: huma.Middlewares{keepUpload},
	}, s.createBulkSend)
	// What the document says of a body, huma reads and checks: this one is documented after it.
	s.api.OpenAPI().Paths[prefix+bulkPath].Post.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: lines}},
	}
}

type uploadKey struct{}

// keepUpload gives the handler the body as it comes: huma would read all of it first.
func keepUpload(hc huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hc)
	if kind, _, _ := mime.ParseMediaType(hc.Header("Content-Type")); kind != "application/x-ndjson" {
		writeProblem(w, newProblem(hc.Context(), http.StatusUnsupportedMediaType, "unsupported_media_type",
			"Send the lines as application/x-ndjson."))
		return
	}
	up := &upload{body: r.Body, control: http.NewResponseController(w)}
	next(huma.WithContext(hc, context.WithValue(hc.Context(), uploadKey{}, up)))
}

// upload is the body of a request, which has to make progress.
type upload struct {
	body    io.Reader
	control *http.ResponseController
}

// Read waits for the client, but not for ever.
func (u *upload) Read(p []byte) (int, error) {
	_ = u.control.SetReadDeadline(time.Now().Add(bulkStall)) // where there is no deadline, there is none
	n, err := u.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if wrong, ok := asType[net.Error](err); ok && wrong.Timeout() {
		return n, fault.Wrap(err, fault.TimedOut, "body_timeout", "The body made no progress for %s.", bulkStall)
	}
	return n, fault.Wrap(err, fault.Malformed, "upload_cut_off", "The body ended before its end. Nothing is sent.")
}

func (s *Server) createBulkSend(ctx context.Context, _ *struct{ TenantHeader }) (*body[BulkAccepted], error) {
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
	w := &bulkUpload{Server: s, bulkCompiler: b, id: id.New(), lines: lines}
	if err := s.Store.CreateBulkSend(ctx, w.id, b.name, b.shared, time.Now()); err != nil {
		return nil, err
	}
	status, err := w.run(ctx)
	if err != nil {
		w.cancel(ctx)
		return nil, err
	}
	if status == store.BulkRunning {
		w.start(ctx)
	}
	out := BulkAccepted{ID: id.BulkSend.Format(w.id), Status: string(status), Accepted: w.accepted, Rejected: w.rejected}
	out.Errors = make([]BulkError, len(w.errors))
	for i, e := range w.errors {
		out.Errors[i] = BulkError(e)
	}
	return &body[BulkAccepted]{out}, nil
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

	accepted, rejected int
	errors             []store.BulkError // the first ones
}

func (w *bulkUpload) run(ctx context.Context) (store.BulkStatus, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches, written := make(chan store.BulkBatch), make(chan error, 1)
	go func() { written <- w.write(ctx, stop, batches) }()
	readErr := w.read(ctx, batches)
	close(batches)
	if err := <-written; err != nil {
		return "", err
	}
	if readErr != nil {
		return "", readErr
	}
	return w.Store.CompleteBulkSend(ctx, w.tenant.ID, w.id, time.Now())
}

// write writes batches until there are no more; what goes wrong stops the reading.
func (w *bulkUpload) write(ctx context.Context, stop func(), batches <-chan store.BulkBatch) error {
	for batch := range batches {
		done, err := w.Store.AddBulkBatch(ctx, w.id, w.shared, batch, time.Now())
		if err != nil {
			stop()
			return err
		}
		w.accepted += len(done.Lines)
		w.rejected += done.Rejected
		w.errors = append(w.errors, done.Errors[:min(len(done.Errors), shownErrors-len(w.errors))]...)
	}
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
		}
		if read++; read > maxBulkLines {
			return fault.New(fault.TooLarge, "too_many_lines", "A bulk send has at most %d lines; nothing is sent.", maxBulkLines)
		}
		size += len(raw)
		w.add(&batch, raw, err != nil)
		if len(batch.Lines)+batch.Rejected >= bulkBatch || size >= bulkBatchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

func (w *bulkUpload) add(batch *store.BulkBatch, raw []byte, tooLong bool) {
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

// cancel takes back an upload that failed. What can not be taken back now is later, when it
// has made no progress for a while.
func (w *bulkUpload) cancel(ctx context.Context) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	_, err := w.Store.CancelBulkSend(ctx, w.tenant.ID, w.id, time.Now())
	if err != nil && fault.KindOf(err) != fault.Conflict {
		w.log.WarnContext(ctx, "upload is cancelled later", slog.Any("error", err))
	}
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

// lineReader reads lines without keeping more than one.
type lineReader struct {
	r      *bufio.Reader
	long   []byte // a line that the reader's buffer does not hold
	number int    // of the line that was read last
}

var errLineTooLong = errors.New("the line is too long")

// next gives the next line that is not blank, until the one after it is asked for. io.EOF
// when there is none; errLineTooLong for one of more than limit bytes, which is skipped.
func (l *lineReader) next(limit int) ([]byte, error) {
	for {
		line, err := l.read(limit)
		if line = bytes.TrimSpace(line); len(line) > 0 || err != nil {
			return line, err
		}
	}
}

func (l *lineReader) read(limit int) ([]byte, error) {
	l.long = l.long[:0]
	if cap(l.long) > maxBulkLine+(64<<10) {
		l.long = nil // the first line may be large
	}
	l.number++
	for read := 0; ; {
		part, err := l.r.ReadSlice('\n')
		read += len(part)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if read <= limit {
				l.long = append(l.long, part...)
			}
			continue
		case errors.Is(err, io.EOF) && read > 0: // the last line needs no end
		case err != nil:
			return nil, err
		}
		if read-1 > limit {
			return nil, errLineTooLong
		}
		if read == len(part) {
			return part, nil
		}
		l.long = append(l.long, part...)
		return l.long, nil
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
