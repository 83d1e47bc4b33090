package apiserver

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// TemplateContent is what a template says. html, mjml and text are Handlebars; one of them must be there.
type TemplateContent struct {
	Subject   string         `json:"subject,omitempty" maxLength:"2000" doc:"Handlebars; one line. A partial has none" example:"Welcome, {{name}}"`
	HTML      string         `json:"html,omitempty" maxLength:"524288" doc:"Handlebars, at most 512 kB; variables are escaped for HTML. With mjml it is what that was compiled to, and is not sent along" example:"<p>Hello {{name}}</p>"`
	Text      string         `json:"text,omitempty" maxLength:"524288" doc:"Handlebars, at most 512 kB; derived from html when it is absent" example:"Hello {{name}}"`
	MJML      string         `json:"mjml,omitempty" maxLength:"524288" doc:"MJML 4 with Handlebars in it, at most 512 kB, compiled to html when it is saved, which has as much at the most. Blocks such as {{#each}} may stand around sections and columns. Not with html, and not in a partial"`
	InlineCSS *bool          `json:"inlineCss,omitempty" doc:"Whether the rules of style elements are moved to the elements that they are about, as some mail programs need it. Done with the rendered HTML, where it has a style element. True when it is absent; with mjml false, which needs it not"`
	Variables map[string]any `json:"variables,omitempty" doc:"JSON Schema (2020-12) of the variables, checked when an email is accepted. Without it, every variable that the template prints unconditionally is required. Its examples and defaults are what a preview shows."`
}

// CreateTemplate is a template to be created.
type CreateTemplate struct {
	Name string `json:"name" maxLength:"100" doc:"Letters, digits, dot, underscore and hyphen; starts with a letter or digit" example:"welcome"`
	Kind string `json:"kind,omitempty" enum:"template,partial" doc:"A partial is a piece of templates: they call it by its name, as {{> footer}}, or as a layout, {{#> page}} … {{/page}}, which prints what stands between where it has {{> @partial-block}}. template when it is absent; can not be changed" example:"template"`
	TemplateContent
}

// Template is a template at its current version, or at the version that was asked for.
type Template struct {
	ID      string `json:"id" example:"tpl_01h455vb4pex5vsknk084sn02q"`
	Name    string `json:"name" example:"welcome"`
	Kind    string `json:"kind" enum:"template,partial"`
	Version int32  `json:"version" doc:"Counts every save, also that of a partial that is called; an email keeps the version that was current when it was accepted"`
	TemplateContent
	RequiredVariables []string      `json:"requiredVariables" doc:"Variables that the template prints unconditionally, its partials included"`
	Partials          []PartialUsed `json:"partials" doc:"Partials that this version calls, directly or not, and that it stays with"`
	CreatedAt         time.Time     `json:"createdAt" doc:"Of the template"`
	UpdatedAt         time.Time     `json:"updatedAt" doc:"Of the version"`
}

// PartialUsed is a partial at the version that a template has of it.
type PartialUsed struct {
	Name    string `json:"name" example:"footer"`
	Version int32  `json:"version"`
}

// TemplatePath is the path of a template.
type TemplatePath struct {
	Name string `path:"name" maxLength:"100" example:"welcome"`
}

func (s *Server) registerTemplates() {
	tags := []string{"Templates"}
	register(s, forTenants(apikey.TemplatesWrite), s.creates(huma.Operation{
		OperationID: "create-template", Method: http.MethodPost, Path: "/templates", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a template", Errors: []int{http.StatusConflict}, MaxBodyBytes: 4 << 20,
	}), s.createTemplate)
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "list-templates", Method: http.MethodGet, Path: "/templates", Tags: tags, Summary: "List templates",
	}, s.listTemplates)
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "get-template", Method: http.MethodGet, Path: "/templates/{name}", Tags: tags, Summary: "Get a template",
	}, s.getTemplate)
	register(s, forTenants(apikey.TemplatesWrite), huma.Operation{
		OperationID: "update-template", Method: http.MethodPut, Path: "/templates/{name}", Tags: tags,
		Summary: "Replace the content of a template", MaxBodyBytes: 4 << 20,
		Description: "Makes the next version. Emails that were accepted before keep theirs. A new version of a partial makes " +
			"one of every template that calls it, in the same moment; when one of them could not be compiled with it, nothing is changed.",
		Errors: []int{http.StatusConflict},
	}, s.updateTemplate)
	register(s, forTenants(apikey.TemplatesWrite), huma.Operation{
		OperationID: "delete-template", Method: http.MethodDelete, Path: "/templates/{name}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a template", Errors: []int{http.StatusConflict},
		Description: "Emails that were accepted with it are still sent. " +
			"A partial that templates call can not be deleted; the answer (409) names them.",
	}, s.deleteTemplate)
}

var templateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func errTemplateName() error {
	return fault.InvalidFields(fault.Field{
		Location: "body.name", Code: "invalid_name",
		Message: "a template name has 1 to 100 letters, digits, dots, underscores and hyphens, and starts with a letter or digit",
	})
}

func (s *Server) createTemplate(ctx context.Context, in *struct {
	TenantHeader
	Body CreateTemplate
},
) (*resource[Template], error) {
	if !templateName.MatchString(in.Body.Name) {
		return nil, errTemplateName()
	}
	kind := cmp.Or(in.Body.Kind, store.KindTemplate)
	t, err := s.compileTemplate(ctx, store.Template{Name: in.Body.Name, Kind: kind}, in.Body.TemplateContent)
	if err != nil {
		return nil, err
	}
	t, err = s.createLinked(ctx, caller(ctx).ID, t, keepTemplate(ctx)...)
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

func (s *Server) updateTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	IfMatchHeader
	Body TemplateContent
},
) (*resource[Template], error) {
	now, err := s.Store.Template(ctx, caller(ctx).ID, in.Name)
	if err != nil {
		return nil, err
	}
	t, err := s.compileTemplate(ctx, store.Template{Name: in.Name, Kind: now.Kind}, in.Body)
	if err != nil {
		return nil, err
	}
	t, err = s.updateLinked(ctx, caller(ctx).ID, t, nil, in.allowsTemplate)
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

func (s *Server) listTemplates(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[Template]], error) {
	items, next, err := s.Store.ListTemplates(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	shown := make([]Template, len(items))
	for i, t := range items {
		one, err := showTemplate(t)
		if err != nil {
			return nil, err
		}
		shown[i] = one
	}
	return newList(shown, next, func(t Template) Template { return t }), nil
}

func (s *Server) getTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	IfNoneMatchHeader
},
) (*resource[Template], error) {
	t, err := s.Store.Template(ctx, caller(ctx).ID, in.Name)
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

func (s *Server) deleteTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	IfMatchHeader
},
) (*struct{}, error) {
	return nil, s.Store.DeleteTemplate(ctx, caller(ctx).ID, in.Name, in.allowsTemplate)
}

// keepTemplate has the transaction that saves a template keep the answer to that.
func keepTemplate(ctx context.Context) []store.Keep[store.Template] {
	return keepCreated(ctx, func(t store.Template) (any, error) { return showTemplate(t) })
}

func templateResource(t store.Template) (*resource[Template], error) {
	shown, err := showTemplate(t)
	if err != nil {
		return nil, err
	}
	return newResource(shown)
}

func (h *IfMatchHeader) allowsTemplate(t store.Template) error {
	shown, err := showTemplate(t)
	if err != nil {
		return err
	}
	return h.allows(shown)
}

func showTemplate(t store.Template) (Template, error) {
	shown := Template{
		ID: id.Template.Format(t.ID), Name: t.Name, Kind: t.Kind, Version: t.Version,
		TemplateContent: TemplateContent{
			Subject: t.Source.Subject, HTML: t.Source.HTML, Text: t.Source.Text, MJML: t.MJML, InlineCSS: &t.Source.InlineCSS,
		},
		RequiredVariables: t.Required, Partials: showPartials(t.Source.Partials),
		CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
	}
	if t.Variables != nil {
		if err := json.Unmarshal(t.Variables, &shown.Variables); err != nil {
			return shown, err
		}
	}
	return shown, nil
}

func showPartials(partials template.Partials) []PartialUsed {
	shown := make([]PartialUsed, 0, len(partials))
	for _, name := range slices.Sorted(maps.Keys(partials)) {
		shown = append(shown, PartialUsed{name, partials[name].Version})
	}
	return shown
}
