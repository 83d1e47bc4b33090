package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

// WatchDomain looks after a sender domain for as long as there is one.
//
//	look at the DNS (CheckDomain) ──► the domain, or its tenant, is gone ──► done
//	   ▲    │
//	   │    └──► timer until the next look: 1 m, 5 m, 15 m, 1 h, … while records are waited
//	   │         for, 1 h while those of a verified domain are missing, otherwise 6 h ──┐
//	   └──────── (or a signal: look) ◄──────────────────────────────────────────────────┘
//
// The database says where the domain stands, what was found and when to look again; what
// follows from a look, and the event that tells of it, are one transaction there. So nothing
// is lost with a run, and a signal only ends a wait.
func WatchDomain(ctx workflow.Context, in flow.WatchDomainInput) error {
	w := watchDomain{state: in}
	if err := w.setup(ctx); err != nil {
		return err
	}
	return w.run(ctx)
}

type watchDomain struct {
	state flow.WatchDomainInput
	last  activities.CheckDomainResult
	look  workflow.ReceiveChannel
}

func (w *watchDomain) setup(ctx workflow.Context) error {
	w.look = workflow.GetSignalChannel(ctx, flow.LookSignal)
	err := workflow.SetQueryHandler(ctx, flow.WatchQuery, func() (flow.WatchDomainInput, error) { return w.state, nil })
	if err != nil {
		return fmt.Errorf("set query handler: %w", err)
	}
	return nil
}

func (w *watchDomain) run(ctx workflow.Context) error {
	for {
		if err := w.check(ctx); err != nil || w.last.Status == "" {
			return err
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			w.drain() // whatever they say, the next run looks first
			w.state.Generation++
			return workflow.NewContinueAsNewError(ctx, WatchDomain, w.state)
		}
	}
}

// check looks once, which answers all signals that have come.
func (w *watchDomain) check(ctx workflow.Context) error {
	var domains *activities.Domains
	w.drain()
	w.last = activities.CheckDomainResult{}
	err := workflow.ExecuteActivity(bookkeeping(ctx), domains.CheckDomain, activities.CheckDomainInput{
		TenantID: w.state.TenantID, DomainID: w.state.DomainID,
	}).Get(ctx, &w.last)
	w.state.Looks++
	w.describe(ctx)
	return err
}

// wait sleeps until the next look is due, or somebody asks for one.
func (w *watchDomain) wait(ctx workflow.Context) error {
	pause := max(w.last.NextAt.Sub(workflow.Now(ctx)), time.Second)
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: pause, TimerOptions: workflow.TimerOptions{Summary: "another look"},
	}, func() bool { return w.look.Len() > 0 })
	return err
}

func (w *watchDomain) drain() {
	for w.look.ReceiveAsync(nil) {
	}
}

func (w *watchDomain) describe(ctx workflow.Context) {
	if w.last.Status == "" {
		workflow.SetCurrentDetails(ctx, "Done: the domain is deleted.")
		return
	}
	details := fmt.Sprintf("The domain is %s; %d required records are missing.", w.last.Status, w.last.Missing)
	if w.last.Rotating {
		details += " New keys wait for their records."
	}
	if w.last.Blocked {
		details += " Another tenant has the domain verified."
	}
	workflow.SetCurrentDetails(ctx, details+" The next look is at "+w.last.NextAt.UTC().Format(time.RFC3339)+".")
}
