package activities

import (
	"go.temporal.io/sdk/worker"

	"github.com/mailtura/mailtura/internal/flow"
)

// Set is everything that activities need, by task queue.
type Set struct {
	Delivery  *Delivery
	Lifecycle *Lifecycle
	BulkSends *BulkSends
	Webhooks  *Webhooks
	Domains   *Domains
}

// Register makes a queue's activities known to its worker, under their method names.
func (s Set) Register(r worker.ActivityRegistry, queue string) {
	switch queue {
	case flow.SendQueue:
		r.RegisterActivity(s.Delivery)
	case flow.ControlQueue:
		r.RegisterActivity(s.Lifecycle)
		r.RegisterActivity(s.BulkSends)
		r.RegisterActivity(s.Domains)
	case flow.WebhookQueue:
		r.RegisterActivity(s.Webhooks)
	}
}
