package workflows

import (
	"cmp"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/tenant"
)

const (
	// drainPoll and drainPollMost are how long a tenant that drains is left alone, at first and then.
	drainPoll     = 500 * time.Millisecond
	drainPollMost = 30 * time.Second
)

// SuspendTenant goes with a tenant's suspension from its beginning to its end: as long as it runs, the tenant
// is suspended, or about to be.
//
//	look ──► draining  ── timer, 0.5 s growing to 30 s ──┐
//	  ▲  ├─► suspended ── until the signal suspension ───┤
//	  │  └─► active: wake what waits ──► done            │
//	  └──────────────────────────────────────────────────┘
//
// The fence is in the database, which says where the tenant stands; the signal only ends a wait. What waits are
// dispatches and bulk sends, which have found the tenant suspended and sleep: they are woken, the oldest first.
func SuspendTenant(ctx workflow.Context, in flow.SuspendTenantInput) error {
	s := suspendTenant{in: in, signals: workflow.GetSignalChannel(ctx, flow.SuspensionSignal), pause: drainPoll}
	return s.run(ctx)
}

type suspendTenant struct {
	in      flow.SuspendTenantInput
	signals workflow.ReceiveChannel
	last    activities.DrainTenantResult
	pause   time.Duration // of the next look at a tenant that drains
}

func (s *suspendTenant) run(ctx workflow.Context) error {
	for {
		if err := s.look(ctx); err != nil {
			return err
		}
		if s.signals.Len() > 0 { // it has changed again
			continue
		}
		if s.ended() {
			return nil
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, SuspendTenant, s.in)
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// ended reports whether the tenant is neither draining nor suspended.
func (s *suspendTenant) ended() bool {
	status := tenant.Status(s.last.Status)
	return status != tenant.Draining && status != tenant.Suspended
}

// look asks the database where the tenant stands, and does what follows from it. One look answers all signals.
func (s *suspendTenant) look(ctx workflow.Context) error {
	for s.signals.ReceiveAsync(nil) {
	}
	var lifecycle *activities.Lifecycle
	in := activities.DrainTenantInput{TenantID: s.in.TenantID}
	s.last = activities.DrainTenantResult{}
	if err := workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.DrainTenant, in).Get(ctx, &s.last); err != nil {
		return err
	}
	if tenant.Status(s.last.Status) == tenant.Active {
		if err := s.wake(ctx); err != nil {
			return err
		}
	}
	s.describe(ctx)
	return workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.FollowSuspension,
		activities.FollowSuspensionInput{TenantID: s.in.TenantID, Version: s.last.Version}).Get(ctx, nil)
}

// wake has everything look again that has found the tenant suspended.
func (s *suspendTenant) wake(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, "Resumed. Waking what waits.")
	var lifecycle *activities.Lifecycle
	if err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.RecheckDispatches,
		activities.RecheckDispatchesInput{TenantID: s.in.TenantID}).Get(ctx, nil); err != nil {
		return err
	}
	return workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.WakeBulkSends,
		activities.WakeBulkSendsInput{TenantID: s.in.TenantID}).Get(ctx, nil)
}

// wait sleeps until the suspension was changed, or more of a tenant that drains may be gone.
func (s *suspendTenant) wait(ctx workflow.Context) error {
	told := func() bool { return s.signals.Len() > 0 }
	if tenant.Status(s.last.Status) == tenant.Suspended {
		return workflow.Await(ctx, told)
	}
	changed, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: s.pause, TimerOptions: workflow.TimerOptions{Summary: fmt.Sprintf("draining, %d left", s.last.Left)},
	}, told)
	s.pause = min(2*s.pause, drainPollMost)
	if changed {
		s.pause = drainPoll
	}
	return err
}

func (s *suspendTenant) describe(ctx workflow.Context) {
	text := map[tenant.Status]string{
		tenant.Draining:  fmt.Sprintf("Draining: %d recipients go out, then the tenant is suspended.", s.last.Left),
		tenant.Suspended: "Suspended: mail waits until the tenant is resumed.",
		tenant.Active:    "Done: the tenant sends again.",
	}[tenant.Status(s.last.Status)]
	workflow.SetCurrentDetails(ctx, cmp.Or(text, "Done: the tenant is deleted."))
}
