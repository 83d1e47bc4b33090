package store

import (
	"context"
	"time"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
)

// auditedWebhook is what the audit log has of a webhook: no secret, but when the old one ends.
type auditedWebhook struct {
	URL           string     `json:"url"`
	Events        []string   `json:"events"`
	Enabled       bool       `json:"enabled"`
	OldSecretEnds *time.Time `json:"oldSecretEnds"`
}

// recordWebhook writes an act on a webhook down. Before is nil when it is made, after when it is deleted.
func recordWebhook(ctx context.Context, q *db.Queries, action audit.Action, before, after *Webhook) error {
	act := audit.Act{Action: action}
	for _, side := range []struct {
		w    *Webhook
		into *any
	}{{before, &act.Before}, {after, &act.After}} {
		if w := side.w; w != nil {
			act.TenantID, act.Target = w.TenantID, id.Webhook.Format(w.ID)
			*side.into = auditedWebhook{URL: w.URL, Events: w.Events, Enabled: w.Enabled, OldSecretEnds: inUTC(w.OldSecretEnds)}
		}
	}
	return record(ctx, q, act)
}
