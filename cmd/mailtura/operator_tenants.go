package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

// tenantDocument is a tenant as the API shows it.
type tenantDocument struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Domain   string          `json:"domain"`
	Status   string          `json:"status"`
	Settings tenant.Settings `json:"settings"`
}

func (d tenantDocument) tenant() plan.Tenant {
	return plan.FromTenant(tenant.Tenant{ID: d.ID, Name: d.Name, Domain: d.Domain, Status: tenant.Status(d.Status), Settings: d.Settings})
}

// tenants gives all tenants that there are, without their sections.
func (a *operatorAPI) tenants(ctx context.Context) (all []plan.Tenant, err error) {
	if err = pages(ctx, a, "/tenants", "", func(d tenantDocument) { all = append(all, d.tenant()) }); err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return all, nil
}

func (a *operatorAPI) makeTenant(ctx context.Context, c plan.Change) error {
	path := "/tenants/" + c.TenantID
	if c.Action == plan.Create {
		body := tenantBody(c.Fields)
		body["id"] = c.TenantID
		_, err := a.do(ctx, request{method: http.MethodPost, path: "/tenants", body: body}, nil)
		return err
	}
	etag, err := unchanged(ctx, a, path, c.Have, func(d tenantDocument) plan.Resource { return d.tenant().Resource })
	if err != nil {
		return err
	}
	r := request{method: http.MethodDelete, path: path, header: map[string]string{"If-Match": etag}}
	if c.Action == plan.Update {
		r.method, r.body = http.MethodPatch, tenantBody(c.Fields)
	}
	_, err = a.do(ctx, r, nil)
	return err
}

// tenantBody has what differs: as a merge patch (RFC 7396), null takes a setting back to its default.
func tenantBody(fields []plan.Difference) map[string]any {
	settings := map[string]any{}
	body := map[string]any{}
	for _, f := range fields {
		if f.Name == "name" || f.Name == "domain" {
			body[f.Name] = f.New
		} else {
			settings[f.Name] = replacing(f.Now, f.New)
		}
	}
	if len(settings) > 0 {
		body["settings"] = settings
	}
	return body
}

// replacing is the merge patch that makes one value of another: what only the old one has is null.
func replacing(old, wanted any) any {
	had, ok := old.(map[string]any)
	has, both := wanted.(map[string]any)
	if !ok || !both {
		return wanted
	}
	patch := maps.Clone(has)
	for name := range had {
		if _, stays := has[name]; !stays {
			patch[name] = nil
		}
	}
	return patch
}
