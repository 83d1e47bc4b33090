package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

const maxBatch = 1000

// SendBatch is emails to be sent, each on its own.
type SendBatch struct {
	Emails []SendEmail `json:"emails" minItems:"1" maxItems:"1000"`
}

// batchBody is a SendBatch as it is read: what is wrong with one of the emails is only that
// one's affair, so they are left to be read one by one.
type batchBody struct {
	Emails []json.RawMessage `json:"emails"`
}

// Schema is that of SendBatch, with anything for an email.
func (batchBody) Schema(huma.Registry) *huma.Schema {
	least, most := 1, maxBatch
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"emails"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"emails": {Type: huma.TypeArray, MinItems: &least, MaxItems: &most, Items: &huma.Schema{}}},
	}
}

// BatchAccepted is the answer to a batch: a result for each of its emails, in their order.
type BatchAccepted struct {
	Accepted int           `json:"accepted" doc:"How many were accepted"`
	Failed   int           `json:"failed" doc:"How many were not"`
	Results  []BatchResult `json:"results" doc:"In the order of the request"`
}

type batchOutput struct {
	RateLimitHeaders
	Body BatchAccepted
}

// BatchResult is what became of one email of a batch.
type BatchResult struct {
	Email *Accepted `json:"email,omitempty" doc:"The accepted email"`
	Error *Problem  `json:"error,omitempty" doc:"Why it was not accepted, as POST /emails would have said it"`
}

func (s *Server) registerBatch() {
	op := huma.Operation{
		OperationID: "send-email-batch", Method: http.MethodPost, Path: "/emails/batch", Tags: []string{"Emails"},
		DefaultStatus: http.StatusAccepted, Summary: "Send up to 1000 emails",
		Description: "Each email is accepted or refused on its own; results are in the order of the request. " +
			"What was accepted is on disk, all of it in one transaction.",
		Errors:       []int{http.StatusRequestEntityTooLarge},
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: 5 * time.Minute,
	}
	register(s, forTenants(apikey.EmailsSend), s.creates(op), s.sendBatch)
	doc := s.api.OpenAPI()
	doc.Paths[prefix+op.Path].Post.RequestBody.Content["application/json"] = &huma.MediaType{
		Schema: doc.Components.Schemas.Schema(reflect.TypeFor[SendBatch](), true, ""),
	}
}

func (s *Server) sendBatch(ctx context.Context, in *struct {
	TenantHeader
	Body batchBody
},
) (*batchOutput, error) {
	if err := tenant.MaySend(caller(ctx).Status); fault.KindOf(err) == fault.Forbidden {
		return nil, err
	}
	b := batch{results: make([]BatchResult, len(in.Body.Emails)), pins: pins{}}
	for i, raw := range in.Body.Emails {
		e, err := s.compileRaw(ctx, raw, b.pins)
		if fault.KindOf(err) == fault.Unavailable {
			return nil, err // it says nothing about the email
		}
		if err != nil {
			b.results[i].Error = s.problem(ctx, err)
			continue
		}
		e.TraceParent = telemetry.TraceParent(ctx)
		b.emails, b.at = append(b.emails, e), append(b.at, i)
	}
	if len(b.emails) == 0 {
		return b.answer(ctx, s, nil), nil
	}
	receipts, err := s.Intake.AcceptAll(ctx, intake.Request{
		Emails: b.emails,
		Answer: onceAnswer(ctx, http.StatusAccepted, func(receipts []intake.Receipt) any { return b.show(ctx, s, receipts) }),
	})
	if err != nil {
		return nil, err
	}
	if code := fault.CodeOf(receipts[0].Err); code == "idempotency_key_in_progress" || code == "tenant_suspended" { // so have all
		return nil, receipts[0].Err
	}
	return b.answer(ctx, s, receipts), nil
}

// batch is a batch on its way in.
type batch struct {
	results []BatchResult
	emails  []email.Email // those that are fit to be accepted
	at      []int         // their places in the batch
	pins    pins
}

func (b *batch) answer(ctx context.Context, s *Server, receipts []intake.Receipt) *batchOutput {
	out := &batchOutput{Body: b.show(ctx, s, receipts)}
	for _, receipt := range receipts {
		if receipt.Err == nil { // the last one that was accepted tells what is left after all
			out.RateLimitHeaders = rateLimitHeaders(receipt.Quota)
		}
	}
	if out.Body.Accepted == 0 {
		keepNothing(ctx)
	}
	return out
}

func (b *batch) show(ctx context.Context, s *Server, receipts []intake.Receipt) BatchAccepted {
	out := BatchAccepted{Results: append([]BatchResult(nil), b.results...)}
	for i, receipt := range receipts {
		result := &out.Results[b.at[i]]
		if receipt.Err != nil {
			result.Error = s.problem(ctx, receipt.Err)
			continue
		}
		result.Email = &showAccepted(b.emails[i], receipt).Body
		out.Accepted++
	}
	out.Failed = len(out.Results) - out.Accepted
	return out
}

// compileRaw compiles an email as POST /emails does.
func (s *Server) compileRaw(ctx context.Context, raw json.RawMessage, known pins) (email.Email, error) {
	in, err := readJSON[SendEmail](s, raw, "email")
	if err != nil {
		return email.Email{}, err
	}
	return s.compile(ctx, caller(ctx), &in, known)
}

// readJSON reads a value that huma would have read had it been a whole body, with the same
// checks; name says what it is.
func readJSON[T any](s *Server, raw []byte, name string) (in T, err error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return in, fault.Wrap(err, fault.Malformed, "malformed_request", "The %s is not JSON.", name)
	}
	registry := s.api.OpenAPI().Components.Schemas
	path, result := huma.NewPathBuffer([]byte("body"), len("body")), &huma.ValidateResult{}
	huma.Validate(registry, registry.Schema(reflect.TypeFor[T](), true, ""), path, huma.ModeWriteToServer, value, result)
	if len(result.Errors) > 0 {
		return in, invalid(result.Errors)
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return in, fault.InvalidFields(fault.Field{Location: "body", Code: "invalid_value", Message: "is not of the form that it should be"})
	}
	return in, nil
}

// invalid is the fault of what the schema finds.
func invalid(errs []error) error {
	fields := make([]fault.Field, 0, len(errs))
	for _, err := range errs {
		fields = append(fields, fieldsOf(http.StatusUnprocessableEntity, err)...)
	}
	return fault.InvalidFields(fields...)
}
