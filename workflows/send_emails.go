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
//	   └── timer ◄────┘
//
// The timers are durable: a mail that is refused temporarily waits for hours without a
// process that remembers it. What each recipient went through is in the database; the
// workflow knows only counts.
func SendEmails(ctx workflow.Context, in flow.SendEmailsInput) (flow.SendEmailsResult, error) {
	s := sendEmails{in: in}
	return s.run(ctx)
}

type sendEmails struct {
	in   flow.SendEmailsInput
	last activities.DeliverResult
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
		if err := s.wait(ctx); err != nil {
			return flow.SendEmailsResult{}, err
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

// wait sleeps until the next recipient is due.
func (s *sendEmails) wait(ctx workflow.Context) error {
	pause := max(s.last.NextAt.Sub(workflow.Now(ctx)), 100*time.Millisecond)
	why := fmt.Sprintf("%s; %d waiting for %s", s.counts(), s.last.Open(), s.last.Reason)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%s. Next attempt at %s.", why, s.last.NextAt.UTC().Format(time.RFC3339)))
	return workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{Summary: why}).Get(ctx, nil)
}

func (s *sendEmails) counts() string {
	return fmt.Sprintf("%d sent, %d bounced, %d failed, %d unknown", s.last.Sent, s.last.Bounced, s.last.Failed, s.last.Unknown)
}

func (s *sendEmails) result() flow.SendEmailsResult {
	return flow.SendEmailsResult{Sent: s.last.Sent, Bounced: s.last.Bounced, Failed: s.last.Failed, Unknown: s.last.Unknown}
}
