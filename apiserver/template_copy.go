package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// CopyTemplate says where a template is to be copied.
type CopyTemplate struct {
	TenantID  string `json:"tenantId" maxLength:"63" doc:"The tenant that gets it" example:"globex"`
	Name      string `json:"name,omitempty" maxLength:"100" doc:"Its name there; the same when it is absent"`
	Overwrite bool   `json:"overwrite,omitempty" doc:"Whether what has its name there, or that of a partial, gets a new version. Else that is a 409, unless it has the same content"`
}

func (s *Server) registerTemplateCopies() {
	register(s, forOperatorsActing(apikey.TemplatesWrite), s.creates(huma.Operation{
		OperationID: "copy-template", Method: http.MethodPost, Path: "/templates/{name}/copy", Tags: []string{"Templates"},
		DefaultStatus: http.StatusCreated, Summary: "Copy a template to another tenant",
		Description: "With the partials that it calls, which are saved first. Only for operator keys; X-Tenant-ID is the tenant that has it. " +
			"What is there with the same content is left alone, so that a copy which was interrupted can be repeated.",
		Errors: []int{http.StatusConflict},
	}), s.copyTemplate)
}

func (s *Server) copyTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	Body CopyTemplate
},
) (*resource[Template], error) {
	if in.Body.Name = cmp.Or(in.Body.Name, in.Name); !templateName.MatchString(in.Body.Name) {
		return nil, errTemplateName()
	}
	target, err := s.known.tenant(ctx, in.Body.TenantID)
	if err != nil {
		return nil, err
	}
	if target.Status == tenant.Deleting {
		return nil, fault.New(fault.Conflict, "tenant_deleting", "The tenant is being deleted.")
	}
	all, err := s.withPartials(ctx, caller(ctx).ID, in.Name)
	if err != nil {
		return nil, err
	}
	last := &all[len(all)-1]
	if last.Name = in.Body.Name; last.Kind == store.KindPartial {
		last.Source.Self = last.Name
	}
	copies, err := s.planCopies(ctx, target.ID, all, in.Body.Overwrite)
	if err != nil {
		return nil, err
	}
	partials, own := copies[:len(copies)-1], copies[len(copies)-1]
	for _, one := range partials {
		if _, err := one.save(ctx, s, target.ID, nil); err != nil {
			return nil, err
		}
	}
	t, err := own.save(ctx, s, target.ID, keepTemplate(ctx))
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

// withPartials gives the partials that a template calls, each after those that it calls
// itself, and the template last.
func (s *Server) withPartials(ctx context.Context, tenantID, name string) ([]store.Template, error) {
	t, err := s.Store.Template(ctx, tenantID, name)
	if err != nil {
		return nil, err
	}
	var all []store.Template
	for partial, pinned := range t.Source.Partials {
		one, err := s.Store.TemplateAt(ctx, tenantID, partial, pinned.Version)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b store.Template) int { // one that is called calls fewer
		return cmp.Or(cmp.Compare(len(a.Source.Partials), len(b.Source.Partials)), cmp.Compare(a.Name, b.Name))
	})
	return append(all, t), nil
}

// templateCopy is a template to be saved with another tenant, and what has its name there.
type templateCopy struct {
	template store.Template
	there    *store.Template
}

// planCopies finds out what is there. Its fault has a field for each name that is taken.
func (s *Server) planCopies(ctx context.Context, tenantID string, all []store.Template, overwrite bool) ([]templateCopy, error) {
	copies := make([]templateCopy, len(all))
	taken := fault.New(fault.Conflict, "template_exists", "The tenant %s has other templates with these names.", tenantID)
	for i, t := range all {
		copies[i].template = t
		there, err := s.Store.Template(ctx, tenantID, t.Name)
		switch {
		case fault.CodeOf(err) == "template_not_found":
			continue
		case err != nil:
			return nil, err
		case there.Kind != t.Kind, !overwrite && !sameContent(there, t):
			taken.Fields = append(taken.Fields, fault.Field{
				Location: "body.tenantId", Code: taken.Code, Message: fmt.Sprintf("there is a %s %q with other content", there.Kind, t.Name),
			})
		}
		copies[i].there = &there
	}
	if len(taken.Fields) > 0 {
		return nil, taken
	}
	return copies, nil
}

// sameContent tells whether two templates say the same; which partials they have is for
// their tenants.
func sameContent(a, b store.Template) bool {
	x, y := a.Source, b.Source
	x.Partials, y.Partials = nil, nil
	return reflect.DeepEqual(x, y) && a.MJML == b.MJML && sameJSON(a.Variables, b.Variables)
}

func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func (c *templateCopy) save(ctx context.Context, s *Server, tenantID string, keep []store.Keep[store.Template]) (store.Template, error) {
	switch {
	case c.there == nil:
		return s.createLinked(ctx, tenantID, c.template, keep...)
	case sameContent(*c.there, c.template):
		return *c.there, nil
	}
	return s.updateLinked(ctx, tenantID, c.template, keep)
}
