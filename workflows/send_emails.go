package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

// SendEmails carries a dispatch until each of its recipients has a final status.
//
//	deliver ──► all final ──► done
//	   ▲  │
//	   │  └──► some deferred, or over the rate limit
//	   │              │
//	   └── timer ◄────┘ (or the signal recheck)
//
// The timers are durable: a mail that is refused temporarily waits for hours without a
// process that remembers it. What each recipient went through is in the database; the
// workflow knows only counts.
func SendEmails(ctx workflow.Context, in flow.SendEmailsInput) (flow.SendEmailsResult, error) {
	s := sendEmails{in: in, rechecks: workflow.GetSignalChannel(ctx, flow.RecheckSignal)}
	return s.run(ctx)
}

type sendEmails struct {
	in       flow.SendEmailsInput
	last     activities.DeliverResult
	rechecks workflow.ReceiveChannel
}

func (s *sendEmails) run(ctx workflow.Context) (flow.SendEmailsResult, error) {
	for {
		if err := s.deliver(ctx); err != nil {
			return flow.SendEmailsResult{}, err
		}
		if s.last.Open() == 0 || s.last.TenantGone {
			workflow.SetCurrentDetails(ctx, "Done: "+s.counts())
			return s.result(), nil
		}
		if !s.last.More {
			if err := s.wait(ctx); err != nil {
				return flow.SendEmailsResult{}, err
			}
		}
		for s.rechecks.ReceiveAsync(nil) { // one look answers all that have come
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return flow.SendEmailsResult{}, workflow.NewContinueAsNewError(ctx, SendEmails, s.in)
		}
	}
}

// deliver hands over everything whose turn it is. The first delivery of a small dispatch
// runs inside this workflow task; when that fails, the ordinary way takes over.
func (s *sendEmails) deliver(ctx workflow.Context) error {
	var delivery *activities.Delivery
	in := activities.DeliverInput{TenantID: s.in.TenantID, DispatchID: s.in.DispatchID, Inline: s.in.Inline}
	if s.in.Inline {
		s.in.Inline = false
		err := workflow.ExecuteLocalActivity(deliverInline(ctx), delivery.Deliver, in).Get(ctx, &s.last)
		if err == nil || temporal.IsCanceledError(err) {
			return err
		}
		workflow.GetLogger(ctx).Warn("inline delivery is taken over by an activity", "error", err)
		in.Inline = false
	}
	return workflow.ExecuteActivity(deliver(ctx), delivery.Deliver, in).Get(ctx, &s.last)
}

// wait sleeps until the next recipient is due, or somebody has changed what is.
func (s *sendEmails) wait(ctx workflow.Context) error {
	pause := max(s.last.NextAt.Sub(workflow.Now(ctx)), 100*time.Millisecond)
	why := fmt.Sprintf("%s; %d waiting for %s", s.counts(), s.last.Open(), s.last.Reason)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%s. Next attempt at %s.", why, s.last.NextAt.UTC().Format(time.RFC3339)))
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: pause, TimerOptions: workflow.TimerOptions{Summary: why},
	}, func() bool { return s.rechecks.Len() > 0 })
	return err
}

func (s *sendEmails) counts() string {
	text := fmt.Sprintf("%d sent, %d bounced, %d failed, %d unknown", s.last.Sent, s.last.Bounced, s.last.Failed, s.last.Unknown)
	if n := s.last.Cancelled; n > 0 {
		text += fmt.Sprintf(", %d cancelled", n)
	}
	if n := s.last.Expired; n > 0 {
		text += fmt.Sprintf(", %d expired", n)
	}
	return text
}

func (s *sendEmails) result() flow.SendEmailsResult {
	return flow.SendEmailsResult{
		Sent: s.last.Sent, Bounced: s.last.Bounced, Failed: s.last.Failed,
		Cancelled: s.last.Cancelled, Expired: s.last.Expired, Unknown: s.last.Unknown,
	}
}
