package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Quota is where a tenant stands against its daily limit.
type Quota struct {
	Limit     *int      `json:"limit" doc:"Recipients per day; null: no limit"`
	Used      int       `json:"used" doc:"Recipients accepted this day"`
	Remaining *int      `json:"remaining" doc:"Recipients that the day has left; null: no limit"`
	ResetsAt  time.Time `json:"resetsAt" doc:"When the next day begins"`
}

// Rate is a tenant's throttle.
type Rate struct {
	Limit int    `json:"limit" doc:"Recipients per unit"`
	Per   string `json:"per" enum:"second,minute,hour"`
	Burst int    `json:"burst"`
}

// TransformSchema says that wherever there is a Rate there may be null. A reference can not say it.
func (Rate) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema { return orNull(s) }

// Usage is where a tenant stands.
type Usage struct {
	TenantID string `json:"tenantId" example:"acme-corp"`
	Day      string `json:"day" doc:"The present day in the tenant's time zone" format:"date" example:"2026-11-24"`
	Timezone string `json:"timezone" example:"UTC"`
	Quota
	Rate             *Rate   `json:"rate" doc:"null: no throttle"`
	Held             int     `json:"held" doc:"Recipients that wait for a day with room"`
	Backlog          int     `json:"backlog" doc:"Recipients that are queued, being sent or deferred"`
	OldestAgeSeconds float64 `json:"oldestAgeSeconds" doc:"How long the oldest of them has waited; 0 without any"`
}

// TenantHeader documents X-Tenant-ID on operations of a tenant; authenticate reads it.
type TenantHeader struct {
	TenantID string `header:"X-Tenant-ID" maxLength:"63" doc:"The tenant that an operator key speaks for; a tenant key needs none" example:"acme-corp"`
}

func (s *Server) registerUsage() {
	tags := []string{"Usage"}
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/usage", Tags: tags,
		Summary: "See where the tenant stands against its limits",
	}, func(ctx context.Context, _ *TenantHeader) (*body[Usage], error) {
		return s.usage(ctx, caller(ctx))
	})
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "get-tenant-usage", Method: http.MethodGet, Path: "/tenants/{id}/usage", Tags: tags,
		Summary: "See where a tenant stands against its limits", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *TenantPath) (*body[Usage], error) {
		t, err := s.Store.Tenant(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return s.usage(ctx, t)
	})
}

func (s *Server) usage(ctx context.Context, t tenant.Tenant) (*body[Usage], error) {
	now := time.Now()
	u, err := s.Store.Usage(ctx, t, now)
	if err != nil {
		return nil, err
	}
	out := Usage{TenantID: t.ID, Day: u.Day, Timezone: t.Settings.Timezone, Quota: showQuota(u.Standing), Held: u.Held, Backlog: u.Backlog}
	if rate := t.Settings.Rate(); !rate.IsZero() {
		out.Rate = &Rate{Limit: rate.Count, Per: t.Settings.RateLimitPer, Burst: rate.Burst}
	}
	if !u.OldestSince.IsZero() {
		out.OldestAgeSeconds = max(0, now.Sub(u.OldestSince).Seconds())
	}
	return &body[Usage]{out}, nil
}

func showQuota(s quota.Standing) Quota {
	return Quota{Limit: s.Limit, Used: s.Used, Remaining: s.Remaining(), ResetsAt: s.ResetsAt.UTC()}
}
