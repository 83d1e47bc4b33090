package apiserver

import (
	"context"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// ListedTenant is a tenant with where it stands.
type ListedTenant struct {
	Tenant
	Usage TenantSummary `json:"usage"`
}

// TenantSummary is where a tenant stood a few seconds ago. GET /tenants/{id}/usage says where it stands now.
type TenantSummary struct {
	Day              string     `json:"day" format:"date" doc:"The day in the tenant's time zone of which used is" example:"2026-11-24"`
	Limit            *int       `json:"limit" doc:"Recipients per day; null: no limit"`
	Used             int        `json:"used" doc:"Recipients of this day so far"`
	Backlog          int        `json:"backlog" doc:"Recipients that are queued, being sent or deferred"`
	OldestWaitingAt  *time.Time `json:"oldestWaitingAt" doc:"When the oldest email of the backlog was accepted; null: nothing waits"`
	OldestAgeSeconds float64    `json:"oldestAgeSeconds" doc:"How long that one has waited; 0 when nothing waits"`
	Sent             int        `json:"sent" doc:"Recipients that a mail server has taken, today and the 6 days before (UTC)"`
	Bounced          int        `json:"bounced" doc:"Recipients that a mail server has refused for good, on the same days"`
	BounceRate       *float64   `json:"bounceRate" doc:"bounced / (sent + bounced); null when there are none" example:"0.012"`
	AsOf             *time.Time `json:"asOf" doc:"When all this was so; null: no worker has looked yet"`
}

func (s *Server) listTenants(ctx context.Context, in *struct {
	Page
	Sort   string `query:"sort" enum:"createdAt,name,used,backlog,oldestWaiting,bounceRate" default:"createdAt" doc:"By what; of oldestWaiting, desc begins with who waits longest"`
	Order  string `query:"order" enum:"asc,desc" default:"desc"`
	Status string `query:"status" maxLength:"20" doc:"Tenants with this status" example:"active"`
	Q      string `query:"q" maxLength:"253" doc:"Tenants whose id, name or domain begins with this, in any case" example:"acme"`
},
) (*body[list[ListedTenant]], error) {
	if field, bad := noNUL("query.status", in.Status, "query.q", in.Q); bad {
		return nil, fault.InvalidFields(field)
	}
	items, next, err := s.Store.ListTenants(ctx, store.TenantQuery{
		Sort: store.TenantSort(in.Sort), Ascending: in.Order == "asc", Status: tenant.Status(in.Status), Prefix: in.Q,
		After: in.After, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return newList(items, next, func(t store.TenantSummary) ListedTenant { return showSummary(t, now) }), nil
}

func showSummary(t store.TenantSummary, now time.Time) ListedTenant {
	shown := ListedTenant{Tenant: showTenant(t.Tenant), Usage: TenantSummary{
		Day: now.In(t.Settings.Location()).Format(time.DateOnly), Limit: t.Settings.DailyLimit, Used: t.Used, Backlog: t.Backlog,
		OldestWaitingAt: utc(t.OldestAt), Sent: t.Sent, Bounced: t.Bounced,
	}}
	if t.MadeAt.Unix() > 0 {
		shown.Usage.AsOf = utc(&t.MadeAt)
	}
	if t.Day != nil {
		shown.Usage.Day = t.Day.Format(time.DateOnly)
	}
	if t.OldestAt != nil {
		shown.Usage.OldestAgeSeconds = max(0, now.Sub(*t.OldestAt).Seconds())
	}
	if all := t.Sent + t.Bounced; all > 0 {
		rate := float64(t.Bounced) / float64(all)
		shown.Usage.BounceRate = &rate
	}
	return shown
}
