package apiserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// Problem is every error answer: application/problem+json (RFC 9457) with a stable code.
type Problem struct {
	Code      string         `json:"code" doc:"Stable, for programs; docs/errors.md lists all" example:"daily_limit_reached"`
	Title     string         `json:"title" doc:"The HTTP status in words" example:"Too Many Requests"`
	Status    int            `json:"status" doc:"The HTTP status" example:"429"`
	Detail    string         `json:"detail" doc:"What happened, for a person"`
	Errors    []ProblemField `json:"errors,omitempty" doc:"What is wrong where, for requests that are not acceptable"`
	RequestID string         `json:"requestId" doc:"X-Request-Id of the request" example:"req_01h455vb4pex5vsknk084sn02q"`
	Limit     *int           `json:"limit,omitempty" doc:"With daily_limit_reached: recipients per day"`
	Used      *int           `json:"used,omitempty" doc:"With daily_limit_reached: recipients of this day"`
	Requested *int           `json:"requested,omitempty" doc:"With daily_limit_reached: recipients of the request"`
	Scope     *string        `json:"scope,omitempty" doc:"With scope_required: what the key may not do"`
	ResetsAt  *time.Time     `json:"resetsAt,omitempty" doc:"With daily_limit_reached: when the next day begins"`

	retryAfter time.Duration
}

// ProblemField is one thing that is wrong with a request.
type ProblemField struct {
	Location string `json:"location" doc:"Where, as a path into the request" example:"body.to[0]"`
	Message  string `json:"message" doc:"What, for a person"`
	Code     string `json:"code" doc:"Stable, for programs" example:"invalid_address"`
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.HeadersError      = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
)

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is always the problem type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders says when to try again, where that is known.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.Limit != nil && p.Used != nil && p.ResetsAt != nil {
		left := rateLimitHeaders(quota.Standing{Limit: p.Limit, Used: *p.Used, ResetsAt: *p.ResetsAt})
		h.Set("RateLimit", left.RateLimit)
		h.Set("RateLimit-Policy", left.RateLimitPolicy)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// statuses is the one place where kinds of faults become HTTP statuses.
var statuses = map[fault.Kind]int{
	fault.Malformed:          http.StatusBadRequest,
	fault.Invalid:            http.StatusUnprocessableEntity,
	fault.Unauthenticated:    http.StatusUnauthorized,
	fault.Forbidden:          http.StatusForbidden,
	fault.NotFound:           http.StatusNotFound,
	fault.Conflict:           http.StatusConflict,
	fault.PreconditionFailed: http.StatusPreconditionFailed,
	fault.TooLarge:           http.StatusRequestEntityTooLarge,
	fault.Exhausted:          http.StatusTooManyRequests,
	fault.TimedOut:           http.StatusRequestTimeout,
	fault.Unavailable:        http.StatusServiceUnavailable,
}

// problem turns any error into what the caller sees. What is not a public fault is logged
// and shown as "internal" without a word of its text.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fault.Wrap(err, fault.Unavailable, "request_cancelled", "The request was given up before it was answered.")
	}
	f, ok := fault.As(err)
	status, public := statuses[fault.KindOf(err)]
	if !ok || !public {
		s.log.ErrorContext(ctx, "request failed", slog.Any("error", err))
		return internalProblem(ctx)
	}
	if f.Kind == fault.Unavailable {
		s.log.WarnContext(ctx, "request could not be served", slog.Any("error", err))
	}
	p := newProblem(ctx, status, f.Code, f.Detail)
	p.retryAfter = f.RetryAfter
	if f.Kind == fault.Unavailable && p.retryAfter == 0 {
		p.retryAfter = time.Second
	}
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, ProblemField(field))
	}
	p.Limit, p.Used, p.Requested = member[int](f, "limit"), member[int](f, "used"), member[int](f, "requested")
	p.Scope = member[string](f, "scope")
	p.ResetsAt = member[time.Time](f, "resetsAt")
	return p
}

// internalProblem shows that something was our fault. Who makes it logs the cause.
func internalProblem(ctx context.Context) *Problem {
	return newProblem(ctx, http.StatusInternalServerError, "internal", "Something went wrong on our side. It is logged under the request id.")
}

type logKey struct{}

// logOf is the log of the server that serves a request, for hooks of huma that have no other way to it.
func logOf(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(logKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

func member[T any](f *fault.Error, name string) *T {
	if v, ok := f.Extra[name].(T); ok {
		return &v
	}
	return nil
}

func newProblem(ctx context.Context, status int, code, detail string) *Problem {
	return &Problem{Code: code, Title: http.StatusText(status), Status: status, Detail: detail, RequestID: telemetry.Request(ctx)}
}

// installProblems makes huma answer with Problem. Its hooks are package variables, so they
// are set once for the process.
var installProblems = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := frameworkProblem(ctx.Context(), status, message, errs)
		for name, values := range p.GetHeaders() { // which huma does for errors of handlers only
			ctx.SetHeader(name, values[0])
		}
		return p
	}
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return frameworkProblem(context.Background(), status, message, errs)
	}
})

// frameworkCodes are the codes of the errors that huma finds before a handler runs.
var frameworkCodes = map[int]string{
	http.StatusBadRequest:            "malformed_request",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusRequestTimeout:        "body_timeout",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "validation_failed",
}

func frameworkProblem(ctx context.Context, status int, message string, errs []error) *Problem {
	if f, ok := fault.As(errors.Join(errs...)); ok && f.Kind == fault.Unavailable { // a body that was not read to its end
		p := newProblem(ctx, http.StatusServiceUnavailable, f.Code, f.Detail)
		p.retryAfter = f.RetryAfter
		return p
	}
	code, ok := frameworkCodes[status]
	if !ok && errors.Is(errors.Join(errs...), io.ErrUnexpectedEOF) { // the client is gone, or said another length
		return newProblem(ctx, http.StatusBadRequest, "malformed_request", "The body ended before its end.")
	}
	if !ok {
		logOf(ctx).ErrorContext(ctx, "request failed", slog.String("where", message), slog.Any("error", errors.Join(errs...)))
		return internalProblem(ctx)
	}
	p := newProblem(ctx, status, code, sentence(message))
	for _, err := range errs {
		for _, field := range fieldsOf(status, err) {
			p.Errors = append(p.Errors, ProblemField(field))
		}
	}
	switch {
	case code == "unsupported_media_type":
		p.Detail, p.Errors = "Send the body as application/json.", nil
	case code == "malformed_request" && len(p.Errors) > 0:
		p.Detail = "The body can not be read: " + p.Errors[0].Message + "."
	case code == "validation_failed":
		p.Detail = fault.InvalidFields(make([]fault.Field, len(p.Errors))...).Detail
	}
	return p
}

// fieldsOf are the places of a request that an error of huma tells of.
func fieldsOf(status int, err error) []fault.Field {
	detailer, ok := err.(huma.ErrorDetailer)
	if !ok {
		return nil
	}
	d := detailer.ErrorDetail()
	if d.Message == validation.MsgExpectedMatchExactlyOneSchema {
		return wrongAddresses(d.Location, d.Value)
	}
	location, message := atPath(strings.TrimSuffix(d.Location, "."), d.Message)
	return []fault.Field{{Location: location, Message: message, Code: fieldCode(status, message)}}
}

// fieldCode gives huma's messages codes.
func fieldCode(status int, message string) string {
	switch {
	case status == http.StatusBadRequest:
		return "malformed_json"
	case message == "unexpected property":
		return "unknown_field"
	case strings.HasPrefix(message, "expected required property"), strings.HasPrefix(message, "required "):
		return "required"
	case strings.HasPrefix(message, "expected length"), strings.HasPrefix(message, "expected array length"):
		return "bad_length"
	case strings.HasPrefix(message, "expected number "):
		return "out_of_range"
	}
	return "invalid_value"
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
