package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

// webhookIdle is how long a webhook's workflow waits for something to do before it ends; what
// comes then starts it again.
const webhookIdle = time.Hour

// DeliverWebhooks tells one endpoint of what happens at its tenant.
//
//	call for what is new, and what is due again (DeliverEvents) ──► more ──► again
//	   ▲    │
//	   │    ├──► calls failed ─── timer until the next is due ───┐
//	   │    ├──► nothing is left ── an hour, then it ends ───────┤
//	   │    └──► disabled or deleted ──► done                    │
//	   └──────── (or a signal: wake) ◄───────────────────────────┘
//
// The database has all that counts: how far the endpoint has been told, and which calls are
// made again and when. So nothing is lost with a run, and a signal only ends a wait.
func DeliverWebhooks(ctx workflow.Context, in flow.DeliverWebhooksInput) error {
	w := deliverWebhooks{state: in}
	if err := w.setup(ctx); err != nil {
		return err
	}
	return w.run(ctx)
}

type deliverWebhooks struct {
	state flow.DeliverWebhooksInput
	last  activities.DeliverEventsResult
	wake  workflow.ReceiveChannel
}

func (w *deliverWebhooks) setup(ctx workflow.Context) error {
	w.wake = workflow.GetSignalChannel(ctx, flow.WakeSignal)
	err := workflow.SetQueryHandler(ctx, flow.StandingQuery, func() (flow.DeliverWebhooksInput, error) { return w.state, nil })
	if err != nil {
		return fmt.Errorf("set query handler: %w", err)
	}
	return nil
}

func (w *deliverWebhooks) run(ctx workflow.Context) error {
	for {
		if err := w.deliver(ctx); err != nil {
			return err
		}
		switch {
		case w.last.Ended:
			return nil
		case w.last.More:
		default:
			woken, err := w.wait(ctx)
			if err != nil || (!woken && w.last.NextAt.IsZero()) {
				return err
			}
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			w.drain() // whatever they say, the next run asks the database first
			w.state.Generation++
			return workflow.NewContinueAsNewError(ctx, DeliverWebhooks, w.state)
		}
	}
}

func (w *deliverWebhooks) deliver(ctx workflow.Context) error {
	var webhooks *activities.Webhooks
	w.drain()
	w.last = activities.DeliverEventsResult{}
	err := workflow.ExecuteActivity(call(ctx), webhooks.DeliverEvents, activities.DeliverEventsInput{
		TenantID: w.state.TenantID, WebhookID: w.state.WebhookID,
	}).Get(ctx, &w.last)
	if err != nil {
		return err
	}
	w.state.Delivered += w.last.Delivered
	w.state.Failed += w.last.Failed
	return nil
}

// wait sleeps until a call is due, or there is something new; woken tells of the latter.
func (w *deliverWebhooks) wait(ctx workflow.Context) (woken bool, err error) {
	pause, why := webhookIdle, "idle"
	if next := w.last.NextAt; !next.IsZero() {
		pause, why = max(next.Sub(workflow.Now(ctx)), 0), "another call"
	}
	w.describe(ctx)
	return workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: pause, TimerOptions: workflow.TimerOptions{Summary: why},
	}, func() bool { return w.wake.Len() > 0 })
}

// drain takes the signals that have come: one look at the database answers all.
func (w *deliverWebhooks) drain() {
	for w.wake.ReceiveAsync(nil) {
	}
}

func (w *deliverWebhooks) describe(ctx workflow.Context) {
	details := fmt.Sprintf("%d calls were good, %d failed.", w.state.Delivered, w.state.Failed)
	if !w.last.NextAt.IsZero() {
		details += fmt.Sprintf(" %d events wait for another call, the next at %s.", w.last.Waiting, w.last.NextAt.UTC().Format(time.RFC3339))
	}
	workflow.SetCurrentDetails(ctx, details)
}
