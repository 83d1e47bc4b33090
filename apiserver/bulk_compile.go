package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

// BulkEmail is the first line of an upload: what all emails of a bulk send have in common.
type BulkEmail struct {
	Name        string            `json:"name,omitempty" maxLength:"200" doc:"Yours, to know the bulk send by"`
	From        string            `json:"from,omitempty" maxLength:"400" doc:"Sender, on the tenant's domain or on a verified domain of the tenant; the tenant's fromEmail when it is absent"`
	FromName    string            `json:"fromName,omitempty" maxLength:"200"`
	ReplyTo     string            `json:"replyTo,omitempty" maxLength:"400"`
	Subject     string            `json:"subject,omitempty" maxLength:"2000" doc:"Handlebars. Required without a template; with one it stands in for the template's"`
	HTML        string            `json:"html,omitempty" doc:"Handlebars"`
	Text        string            `json:"text,omitempty" doc:"Handlebars; derived from html when it is absent"`
	Template    string            `json:"template,omitempty" maxLength:"100" doc:"Name of a template of the tenant; its version of now is sent to all"`
	Attachments []Attachment      `json:"attachments,omitempty" maxItems:"20"`
	Headers     map[string]string `json:"headers,omitempty"`
	Tags        []string          `json:"tags,omitempty" maxItems:"20"`
	ScheduledAt *time.Time        `json:"scheduledAt,omitempty" doc:"Not before this time, at most 30 days ahead"`
	ExpiresAt   *time.Time        `json:"expiresAt,omitempty" doc:"Of no use after this time"`
	Class       string            `json:"class,omitempty" enum:"transactional,bulk" doc:"Bulk when it is absent"`

	Tracking *EmailTracking `json:"tracking,omitempty" doc:"Whether opens and clicks are recorded"`
}

// BulkLine is a further line of an upload: an email to one recipient.
type BulkLine struct {
	To        string         `json:"to" maxLength:"400" example:"Ada <ada@example.com>"`
	Variables map[string]any `json:"variables,omitempty" doc:"Values for the template, at most 64 kB of JSON"`
	Metadata  map[string]any `json:"metadata,omitempty" doc:"Anything of yours, at most 8 kB of JSON; given back with the email"`
}

// bulkCompiler turns the lines of an upload into what is stored of them.
type bulkCompiler struct {
	tenant   tenant.Tenant
	name     string
	shared   email.Email
	required []string         // variables that every line needs
	schema   *template.Schema // of the variables; nil: required decides alone
}

// compileBulk reads the first line of an upload. What is wrong with it is a fault, as POST
// /emails would have it.
func (s *Server) compileBulk(ctx context.Context, t tenant.Tenant, raw []byte) (*bulkCompiler, error) {
	if err := tenant.MaySend(t.Status); err != nil {
		return nil, err
	}
	in, err := readJSON[BulkEmail](s, raw, "first line")
	if err != nil {
		return nil, err
	}
	if in.Class == "" {
		in.Class = string(email.Bulk)
	}
	c := compiler{
		tenant: t, pins: pins{}, out: email.Email{ID: id.New(), TenantID: t.ID, Subject: in.Subject, Tags: in.Tags},
		in: &SendEmail{
			From: in.From, FromName: in.FromName, ReplyTo: in.ReplyTo, Subject: in.Subject, HTML: in.HTML, Text: in.Text,
			Template: in.Template, Attachments: in.Attachments, Headers: in.Headers, Tags: in.Tags,
			ScheduledAt: in.ScheduledAt, ExpiresAt: in.ExpiresAt, Class: in.Class, Tracking: in.Tracking,
		},
	}
	c.schedule(time.Now())
	c.sender()
	if err := s.checkSender(ctx, &c); err != nil {
		return nil, err
	}
	c.labels()
	c.headers()
	c.attachments()
	c.body()
	c.tracking(s.Tracking.Base)
	b := &bulkCompiler{tenant: t, name: in.Name}
	c.line("body.name", in.Name)
	if len(c.fields) == 0 {
		if err := s.bulkContent(ctx, &c, b); err != nil {
			return nil, err
		}
	}
	if len(c.fields) > 0 {
		return nil, fault.InvalidFields(c.fields...)
	}
	b.shared = c.out
	return b, c.size()
}

// bulkContent pins the template, and finds out what each line must have.
func (s *Server) bulkContent(ctx context.Context, c *compiler, b *bulkCompiler) error {
	source := template.Source{Subject: c.in.Subject, HTML: c.in.HTML, Text: c.in.Text}
	if c.in.Template != "" {
		t, err := s.pinned(ctx, c)
		if err != nil || t == nil {
			return err
		}
		if b.schema = t.schema; b.schema == nil {
			b.required = t.Required
		}
	}
	if source.Empty() {
		return nil
	}
	analysis, err := s.Templates.Check(ctx, source)
	if f, ok := fault.As(err); ok && f.Kind == fault.Invalid {
		c.fields = append(c.fields, f.Fields...)
		return nil
	}
	b.required = append(b.required[:len(b.required):len(b.required)], analysis.Required...)
	return err
}

// line reads a line, or says what is wrong with it.
func (b *bulkCompiler) line(number int, raw []byte) (store.BulkLine, []store.BulkError) {
	var in BulkLine
	if !utf8.Valid(raw) {
		return store.BulkLine{}, []store.BulkError{{Line: number, Code: "malformed_json", Message: "the line is not UTF-8"}}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return store.BulkLine{}, []store.BulkError{lineError(number, err)}
	}
	if decoder.InputOffset() < int64(len(bytes.TrimRight(raw, " \t\r\n"))) {
		return store.BulkLine{}, []store.BulkError{{Line: number, Code: "malformed_json", Message: "there is more after the object"}}
	}
	c := compiler{in: &SendEmail{}}
	out := store.BulkLine{Number: number, To: c.to(in.To)}
	if in.Metadata != nil {
		out.Metadata = c.json("body.metadata", in.Metadata, maxMetadata)
	}
	if in.Variables == nil {
		in.Variables = map[string]any{}
	}
	out.Variables = c.json("body.variables", in.Variables, maxVariables)
	c.fields = append(c.fields, template.MissingVariables(b.required, out.Variables)...)
	if b.schema != nil {
		c.fields = append(c.fields, b.schema.Validate(out.Variables)...)
	}
	errs := make([]store.BulkError, len(c.fields))
	for i, f := range c.fields {
		errs[i] = store.BulkError{Line: number, Location: strings.TrimPrefix(f.Location, "body."), Code: f.Code, Message: f.Message}
	}
	return out, errs
}

func (c *compiler) to(text string) address.Address {
	if text == "" {
		c.wrong("body.to", "required", "a line needs a recipient")
		return address.Address{}
	}
	a, err := address.Parse(text)
	if err != nil {
		c.fault("body.to", err)
	}
	return a
}

// lineError says what the decoder does not like about a line.
func lineError(number int, err error) store.BulkError {
	e := store.BulkError{Line: number, Code: "malformed_json", Message: "the line is not a JSON object"}
	text := err.Error() //nolint:forbidigo // encoding/json has no type for this error; what is shown is the name, clipped
	if name, unknown := strings.CutPrefix(text, `json: unknown field "`); unknown {
		e.Location, e.Code, e.Message = clip(strings.TrimSuffix(name, `"`)), "unknown_field", "a line has to, variables and metadata"
	} else if wrong, ok := asType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		e.Location, e.Code, e.Message = clip(wrong.Field), "invalid_value", "is not of the type that it should be"
	}
	return e
}
