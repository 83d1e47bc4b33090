package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

const (
	callsTogether = 200                    // that are loaded together
	callsAtOnce   = 16                     // to one endpoint
	callsTurn     = 10 * time.Second       // after which a webhook lets others have its slot
	callsLinger   = time.Second            // how long it looks for more before it goes
	callsLook     = 100 * time.Millisecond // how often
	// callsClaim is how long a webhook is left to this run after its last sign of life: a
	// call, and what Temporal needs to find that a worker is gone.
	callsClaim = 40 * time.Second
)

// Caller calls endpoints.
type Caller interface {
	Post(ctx context.Context, c webhookhttp.Call) webhookhttp.Outcome
}

var _ Caller = (*webhookhttp.Poster)(nil)

// Webhooks has the activity that tells endpoints of events.
type Webhooks struct {
	Store  *store.Store
	Keys   *keyring.Keyring // that secrets are sealed with; nil: there are none
	Caller Caller
	// Payload shows an event as the API does.
	Payload func(store.Event) ([]byte, error)
	Log     *slog.Logger
}

// DeliverEventsInput names the webhook.
type DeliverEventsInput struct {
	TenantID  string    `json:"tenantId"`
	WebhookID uuid.UUID `json:"webhookId"`
}

// DeliverEventsResult says what was done, and what is left.
type DeliverEventsResult struct {
	Delivered int       `json:"delivered"`
	Failed    int       `json:"failed"`
	Waiting   int       `json:"waiting"`         // events that wait for another call
	NextAt    time.Time `json:"nextAt"`          // when the next is due; zero: nothing is left
	More      bool      `json:"more,omitempty"`  // only the turn was over
	Ended     bool      `json:"ended,omitempty"` // the webhook is disabled or gone
}

// DeliverEvents calls an endpoint for what has happened since, in the order of the events, and
// for what is due again. Several calls are under way at a time, and one that fails holds up
// none behind it. What became of a call is written before it counts as done, so that what a
// crash cuts off is called again, with the same id.
func (w *Webhooks) DeliverEvents(ctx context.Context, in DeliverEventsInput) (DeliverEventsResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	defer heartbeat(ctx)()
	run := &deliverEvents{Webhooks: w, ref: store.WebhookRef{TenantID: in.TenantID, ID: in.WebhookID}}
	if err := run.deliver(ctx); err != nil {
		return DeliverEventsResult{}, activityError(err)
	}
	if err := run.leave(context.WithoutCancel(ctx)); err != nil {
		return DeliverEventsResult{}, activityError(err)
	}
	return run.result, nil
}

// deliverEvents is one run of DeliverEvents.
type deliverEvents struct {
	*Webhooks
	ref    store.WebhookRef
	rest   time.Duration // that the endpoint is given
	result DeliverEventsResult
}

func (r *deliverEvents) deliver(ctx context.Context) error {
	began := time.Now()
	for active := began; ; {
		hook, err := r.claim(ctx)
		if err != nil || r.result.Ended {
			return err
		}
		worked, err := r.round(ctx, hook)
		if err != nil || r.result.Ended || r.rest > 0 {
			return err
		}
		now := time.Now()
		if r.result.More = stopping(ctx) || ctx.Err() != nil || now.Sub(began) > callsTurn; r.result.More {
			return nil
		}
		switch {
		case worked:
			active = now
			continue
		case now.Sub(active) > callsLinger:
			return nil
		}
		select {
		case <-time.After(callsLook):
		case <-ctx.Done():
		}
	}
}

// claim says that this run is at the webhook, and gives it as it stands.
func (r *deliverEvents) claim(ctx context.Context) (store.Webhook, error) {
	hook, err := r.Store.ClaimWebhook(ctx, r.ref, time.Now().Add(callsClaim))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		err = nil
	}
	r.result.Ended = err == nil && !hook.Enabled // one that is gone is not enabled either
	return hook, err
}

// round makes the calls that can be made now.
func (r *deliverEvents) round(ctx context.Context, hook store.Webhook) (worked bool, err error) {
	secrets, err := webhook.OpenSecrets(r.Keys, hook.TenantID, id.Webhook.Format(hook.ID), hook.Sealed(time.Now())...)
	if err != nil {
		return false, err
	}
	limit := callsTogether
	if webhook.Rest(hook.Failures) > 0 { // one call tells whether it is up again
		limit = 1
	}
	jobs, reached, err := r.Store.WebhookJobs(ctx, hook, time.Now(), limit)
	if err != nil {
		return false, err
	}
	if len(jobs) == 0 && reached == hook.Cursor {
		return false, nil
	}
	calls := newCalls(r, hook, secrets, jobs, reached)
	if err := calls.make(ctx, limit); err != nil {
		return false, err
	}
	r.result.Delivered += calls.good
	r.result.Failed += calls.bad
	r.rest = calls.rest
	if calls.disabled != "" {
		r.result.Ended = true
		r.Log.WarnContext(ctx, "webhook is disabled", slog.String("webhook", id.Webhook.Format(hook.ID)), slog.String("reason", calls.disabled))
		return true, r.Store.DisableFailingWebhook(ctx, r.ref, calls.disabled, time.Now())
	}
	return len(jobs) > 0, nil
}

// leave says that nobody is at the webhook any more, and what is left to do.
func (r *deliverEvents) leave(ctx context.Context) error {
	if r.result.Ended {
		return nil
	}
	now := time.Now()
	until := now.Add(r.rest)
	if r.result.More {
		until = now.Add(callsClaim)
	}
	var err error
	if r.result.Waiting, r.result.NextAt, err = r.Store.WebhookStanding(ctx, r.ref); err != nil {
		return err
	}
	if r.rest > 0 {
		r.result.NextAt = until
	}
	return r.Store.RestWebhook(ctx, r.ref, until)
}
