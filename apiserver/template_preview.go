package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// PreviewTemplate says what a template is to be shown with.
type PreviewTemplate struct {
	PreviewTo
	Variables map[string]any `json:"variables,omitempty" doc:"As in an email, at most 64 kB of JSON. Absent: made from the examples, defaults and types of the template's schema; without one, each required variable is its own name"`
	Version   int32          `json:"version,omitempty" minimum:"1" doc:"An older version; the current one when it is absent"`
}

// DraftTemplate is a template that is not saved.
type DraftTemplate struct {
	Kind string `json:"kind,omitempty" enum:"template,partial" doc:"template when it is absent"`
	TemplateContent
}

// PreviewDraft is a template that is not saved, and what it is to be shown with.
type PreviewDraft struct {
	PreviewTo
	Template  DraftTemplate  `json:"template"`
	Variables map[string]any `json:"variables,omitempty" doc:"As in an email. Absent: made from the schema of the template"`
}

// Preview is an email of a template, as it would be sent.
type Preview struct {
	Subject   string         `json:"subject"`
	HTML      string         `json:"html,omitempty"`
	Text      string         `json:"text,omitempty" doc:"Of the template, or derived from the HTML"`
	Source    string         `json:"source,omitempty" doc:"The message as it goes over the wire (RFC 5322, lines end in CRLF). What is sent has the same bytes, but for: Date, and Message-ID with the boundaries of the parts, which are made of its id; tracked links and the picture, where opens or clicks are tracked, which are each recipient's own; a DKIM-Signature, where the domain has a key. Absent for a partial, for a template without a subject, for what renders to nothing, and while the tenant has no fromEmail"`
	Size      int            `json:"size" doc:"Bytes of the HTML. Gmail cuts off what is above 102 kB"`
	Variables map[string]any `json:"variables" doc:"What it was rendered with"`
}

// PreviewFormat is the query of a preview.
type PreviewFormat struct {
	Format string `query:"format" enum:"json,html" default:"json" doc:"html: the HTML alone, to be looked at in a browser. It comes with a Content-Security-Policy in which it can run nothing"`
}

// previewPolicy lets a browser show a mail, and do nothing else with it.
const previewPolicy = "sandbox; default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline' https:; font-src https: data:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

type previewOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Policy      string `header:"Content-Security-Policy" hidden:"true"`
	Sniff       string `header:"X-Content-Type-Options" hidden:"true"`
	Referrer    string `header:"Referrer-Policy" hidden:"true"`
	Body        any
}

func (s *Server) registerTemplatePreviews() {
	register(s, forTenants(apikey.TemplatesRead), s.previews(huma.Operation{
		OperationID: "preview-template", Path: "/templates/{name}/preview", Summary: "See an email of a template",
		Description: "Rendered as it would be sent, to the byte, with the whole message in `source`; nothing is sent. " +
			"Variables that an email would be refused for are refused here too.",
	}), s.previewTemplate)
	register(s, forTenants(apikey.TemplatesRead), s.previews(huma.Operation{
		OperationID: "preview-draft", Path: "/templates/preview", Summary: "See an email of a template that is not saved",
		Description: "Nothing is saved or sent. It can call the tenant's partials.", MaxBodyBytes: 4 << 20,
	}), s.previewDraft)
}

// previews documents both forms of a preview.
func (s *Server) previews(op huma.Operation) huma.Operation {
	op.Method, op.Tags = http.MethodPost, []string{"Templates"}
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Preview](), true, "Preview")
	op.Responses = map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema}, "text/html": {Schema: &huma.Schema{Type: huma.TypeString}},
	}}}
	return op
}

func (s *Server) previewTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	PreviewFormat
	Body PreviewTemplate
},
) (*previewOutput, error) {
	t, err := s.templateAt(ctx, in.Name, in.Body.Version)
	if err != nil {
		return nil, err
	}
	shown, err := s.preview(ctx, t, in.Body.PreviewTo, in.Body.Variables)
	return previewAs(in.Format, shown, err)
}

func (s *Server) previewDraft(ctx context.Context, in *struct {
	TenantHeader
	PreviewFormat
	Body PreviewDraft
},
) (*previewOutput, error) {
	t, err := s.compileDraft(ctx, in.Body.Template)
	if err != nil {
		return nil, inDraft(err)
	}
	shown, err := s.preview(ctx, t, in.Body.PreviewTo, in.Body.Variables)
	return previewAs(in.Format, shown, err)
}

// templateAt is a template at a version, or at the current one.
func (s *Server) templateAt(ctx context.Context, name string, version int32) (store.Template, error) {
	if version == 0 {
		return s.Store.Template(ctx, caller(ctx).ID, name)
	}
	return s.Store.TemplateAt(ctx, caller(ctx).ID, name, version)
}

const draftName = "draft"

// compileDraft makes of a draft what saving would.
func (s *Server) compileDraft(ctx context.Context, draft DraftTemplate) (store.Template, error) {
	kind := draft.Kind
	if kind == "" {
		kind = store.KindTemplate
	}
	t, err := s.compileTemplate(ctx, store.Template{Name: draftName, Kind: kind}, draft.TemplateContent)
	if err != nil {
		return t, err
	}
	return s.linkNow(ctx, caller(ctx).ID, t)
}

// inDraft gives the fields of a fault their place in a request with a draft.
func inDraft(err error) error {
	f, ok := fault.As(err)
	if !ok || len(f.Fields) == 0 {
		return err
	}
	moved := *f
	moved.Fields = make([]fault.Field, len(f.Fields))
	for i, field := range f.Fields {
		field.Location = "body.template" + field.Location[len("body"):]
		moved.Fields[i] = field
	}
	return &moved
}

// preview renders an email of t. A partial is shown within an empty template, a layout
// around a line that stands for the block.
func (s *Server) preview(ctx context.Context, t store.Template, to PreviewTo, given map[string]any) (*Preview, error) {
	envelope, err := to.envelope(ctx)
	if err != nil {
		return nil, err
	}
	variables, err := previewVariables(t, given)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(variables)
	if err != nil {
		return nil, err
	}
	in := t.Rendering(caller(ctx).ID, raw)
	if t.Version == 0 {
		in.Key = ""
	}
	if t.Kind == store.KindPartial {
		in.Key, in.Pinned = "", callOf(t)
	}
	rendered, err := s.Templates.RenderEmail(ctx, in)
	if err != nil {
		return nil, err
	}
	message, err := source(envelope, t, rendered)
	if err != nil {
		return nil, err
	}
	return &Preview{
		Subject: rendered.Subject, HTML: rendered.HTML, Text: rendered.Text, Source: message, Size: len(rendered.HTML), Variables: variables,
	}, nil
}

// callOf is a template that only calls a partial.
func callOf(t store.Template) *template.Source {
	partials := template.Partials{t.Name: t.AsPartial()}
	for name, partial := range t.Source.Partials {
		partials[name] = partial
	}
	call := fmt.Sprintf("{{#> %s}}(what the template has between its tags)\n{{/%s}}", t.Name, t.Name)
	out := &template.Source{Partials: partials}
	if t.Source.HTML != "" {
		out.HTML = call
	}
	if t.Source.Text != "" {
		out.Text = call
	}
	return out
}

// previewVariables are the given variables, which must fit, or examples.
func previewVariables(t store.Template, given map[string]any) (map[string]any, error) {
	switch {
	case given == nil && t.Variables != nil:
		return template.Example(t.Variables), nil
	case given == nil:
		return template.ExampleOf(t.Required), nil
	}
	c := compiler{}
	raw := c.json("body.variables", given, maxVariables)
	if t.Variables == nil {
		c.fields = append(c.fields, template.MissingVariables(t.Required, raw)...)
	} else {
		schema, err := template.CompileSchema(t.Variables)
		if err != nil {
			return nil, err
		}
		c.fields = append(c.fields, schema.Validate(raw)...)
	}
	if len(c.fields) > 0 {
		return nil, fault.InvalidFields(c.fields...)
	}
	return given, nil
}

func previewAs(format string, shown *Preview, err error) (*previewOutput, error) {
	if err != nil {
		return nil, err
	}
	if format != "html" {
		return &previewOutput{ContentType: "application/json", Body: shown}, nil
	}
	return &previewOutput{
		ContentType: "text/html; charset=utf-8", Policy: previewPolicy, Sniff: "nosniff", Referrer: "no-referrer",
		Body: []byte(shown.HTML),
	}, nil
}
