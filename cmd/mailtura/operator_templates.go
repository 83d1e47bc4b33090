package main

import (
	"context"
	"maps"
	"net/http"

	"github.com/mailtura/mailtura/internal/plan"
)

// templateDocument is a template as the API shows it.
type templateDocument struct {
	Name string `json:"name"`
	plan.TemplateContent
}

func (a *operatorAPI) templates(ctx context.Context, tenantID string) (all []plan.Resource, err error) {
	err = pages(ctx, a, "/templates", tenantID, func(d templateDocument) {
		all = append(all, plan.FromTemplate(tenantID, d.Name, d.TemplateContent))
	})
	return all, err
}

func (a *operatorAPI) makeTemplate(ctx context.Context, c plan.Change) error {
	path := "/templates/" + c.Name
	if c.Action == plan.Create {
		body := maps.Clone(c.Want.Fields)
		body["name"] = c.Name
		_, err := a.do(ctx, request{method: http.MethodPost, path: "/templates", tenantID: c.TenantID, body: body}, nil)
		return err
	}
	etag, err := unchanged(ctx, a, path, c.Have, func(d templateDocument) plan.Resource {
		return plan.FromTemplate(c.TenantID, d.Name, d.TemplateContent)
	})
	if err != nil {
		return err
	}
	r := request{method: http.MethodDelete, path: path, tenantID: c.TenantID, header: map[string]string{"If-Match": etag}}
	if c.Action == plan.Update {
		r.method, r.body = http.MethodPut, c.Want.Fields
	}
	_, err = a.do(ctx, r, nil)
	return err
}
