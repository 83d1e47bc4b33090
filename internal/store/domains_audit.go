package store

import (
	"context"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/store/db"
)

// auditedDomain is what the audit log has of a sender domain.
type auditedDomain struct {
	Name      string   `json:"name"`
	Status    string   `json:"status"`
	Selectors []string `json:"selectors"`
}

// recordDomain writes an act on a domain down. Before is nil when it is made, after when it is deleted.
func recordDomain(ctx context.Context, q *db.Queries, action audit.Action, before, after *Domain) error {
	act := audit.Act{Action: action}
	for _, side := range []struct {
		d    *Domain
		into *any
	}{{before, &act.Before}, {after, &act.After}} {
		if d := side.d; d != nil {
			shown := auditedDomain{Name: d.Name, Status: string(d.Status)}
			for _, k := range d.Keys {
				shown.Selectors = append(shown.Selectors, k.Selector)
			}
			act.TenantID, act.Target = d.TenantID, d.Name
			*side.into = shown
		}
	}
	return record(ctx, q, act)
}
