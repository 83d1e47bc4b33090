package main

import (
	"context"
	"net/http"

	"github.com/mailtura/mailtura/internal/plan"
)

func (a *operatorAPI) domains(ctx context.Context, tenantID string) (all []plan.Resource, err error) {
	err = pages(ctx, a, "/domains", tenantID, func(d struct{ Name string }) { all = append(all, plan.FromDomain(tenantID, d.Name)) })
	return all, err
}

// makeDomain makes or deletes a domain: nothing of it can be changed.
func (a *operatorAPI) makeDomain(ctx context.Context, c plan.Change) error {
	r := request{method: http.MethodPost, path: "/domains", tenantID: c.TenantID, body: map[string]any{"name": c.Name}}
	if c.Action == plan.Delete {
		r = request{method: http.MethodDelete, path: "/domains/" + c.Name, tenantID: c.TenantID}
	}
	_, err := a.do(ctx, r, nil)
	return err
}
