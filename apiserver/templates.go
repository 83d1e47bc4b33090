package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// TemplateContent is what a template says. html and text are Handlebars; one of them must be there.
type TemplateContent struct {
	Subject   string         `json:"subject,omitempty" maxLength:"2000" doc:"Handlebars; one line" example:"Welcome, {{name}}"`
	HTML      string         `json:"html,omitempty" maxLength:"1048576" doc:"Handlebars; variables are escaped for HTML" example:"<p>Hello {{name}}</p>"`
	Text      string         `json:"text,omitempty" maxLength:"1048576" doc:"Handlebars; derived from html when it is absent" example:"Hello {{name}}"`
	Variables map[string]any `json:"variables,omitempty" doc:"JSON Schema (2020-12) of the variables, checked when an email is accepted. Without it, every variable that the template prints unconditionally is required."`
}

// CreateTemplate is a template to be created.
type CreateTemplate struct {
	Name string `json:"name" maxLength:"100" doc:"Letters, digits, dot, underscore and hyphen; starts with a letter or digit" example:"welcome"`
	TemplateContent
}

// Template is a template at its current version.
type Template struct {
	ID      string `json:"id" example:"tpl_01h455vb4pex5vsknk084sn02q"`
	Name    string `json:"name" example:"welcome"`
	Version int32  `json:"version" doc:"Counts every save; an email keeps the version that was current when it was accepted"`
	TemplateContent
	RequiredVariables []string  `json:"requiredVariables" doc:"Variables that the template prints unconditionally"`
	CreatedAt         time.Time `json:"createdAt"`
	UpdatedAt         time.Time `json:"updatedAt"`
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
		Description: "Makes the next version. Emails that were accepted before keep theirs.",
	}, s.updateTemplate)
	register(s, forTenants(apikey.TemplatesWrite), huma.Operation{
		OperationID: "delete-template", Method: http.MethodDelete, Path: "/templates/{name}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a template", Description: "Emails that were accepted with it are still sent.",
	}, s.deleteTemplate)
}

var templateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (s *Server) createTemplate(ctx context.Context, in *struct {
	TenantHeader
	Body CreateTemplate
},
) (*resource[Template], error) {
	if !templateName.MatchString(in.Body.Name) {
		return nil, fault.InvalidFields(fault.Field{
			Location: "body.name", Code: "invalid_name",
			Message: "a template name has 1 to 100 letters, digits, dots, underscores and hyphens, and starts with a letter or digit",
		})
	}
	t, err := s.checkTemplate(ctx, in.Body.Name, in.Body.TemplateContent)
	if err != nil {
		return nil, err
	}
	keep := keepCreated(ctx, func(t store.Template) (any, error) { return showTemplate(t) })
	t, err = s.Store.CreateTemplate(ctx, caller(ctx).ID, t, keep...)
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
	t, err := s.checkTemplate(ctx, in.Name, in.Body)
	if err != nil {
		return nil, err
	}
	t, err = s.Store.UpdateTemplate(ctx, caller(ctx).ID, t, in.allowsTemplate)
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

// checkTemplate parses everything of a template before it is saved.
func (s *Server) checkTemplate(ctx context.Context, name string, c TemplateContent) (store.Template, error) {
	t := store.Template{Name: name, Source: template.Source{Subject: c.Subject, HTML: c.HTML, Text: c.Text}}
	if c.HTML == "" && c.Text == "" {
		return t, fault.InvalidFields(fault.Field{Location: "body", Code: "required", Message: "a template has html or text"})
	}
	if field, bad := noNUL("body.subject", c.Subject, "body.html", c.HTML, "body.text", c.Text); bad {
		return t, fault.InvalidFields(field)
	}
	analysis, err := s.Templates.Check(ctx, t.Source)
	if err != nil {
		return t, err
	}
	t.Required = analysis.Required
	if c.Variables != nil {
		if t.Variables, err = json.Marshal(c.Variables); err != nil {
			return t, err
		}
		if _, err := template.CompileSchema(t.Variables); err != nil {
			return t, err
		}
	}
	return t, nil
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
		ID: id.Template.Format(t.ID), Name: t.Name, Version: t.Version,
		TemplateContent:   TemplateContent{Subject: t.Source.Subject, HTML: t.Source.HTML, Text: t.Source.Text},
		RequiredVariables: t.Required, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
	}
	if t.Variables != nil {
		if err := json.Unmarshal(t.Variables, &shown.Variables); err != nil {
			return shown, err
		}
	}
	return shown, nil
}
