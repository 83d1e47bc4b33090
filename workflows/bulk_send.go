package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

const (
	// bulkWindow is how many recipients of a bulk send may be queued or being sent before
	// the next chunk is taken: enough to keep the mail servers busy, few enough that pause
	// and cancel mean something.
	bulkWindow = 2000
	// bulkPoll and bulkPollMost are how long a full window is left alone, at first and then.
	bulkPoll     = 500 * time.Millisecond
	bulkPollMost = 30 * time.Second
	// bulkLook is after what time it looks again by itself where a signal should come, or a
	// day should open: signals get lost while Temporal is away, and limits are changed.
	bulkLook = 5 * time.Minute
)

// BulkSend turns an upload into emails, chunk after chunk, through a sliding window.
//
//	take a chunk ──► taken ──► next                 (TakeChunk starts its SendEmails)
//	   ▲    │
//	   │    ├──► the window is full ── timer, 0.5 s growing to 30 s ──┐
//	   │    ├──► held or scheduled  ── timer until its time ──────────┤
//	   │    ├──► paused             ── until resume ──────────────────┤
//	   │    ├──► tenant suspended   ── until it is resumed ───────────┤
//	   │    └──► nothing is left, or cancelled ──► done               │
//	   └──────── (or a signal: pause, resume, cancel) ◄───────────────┘
//
// The database says where the bulk send stands; signals only end a wait. A chunk is taken
// there once, whatever is repeated here.
func BulkSend(ctx workflow.Context, in flow.BulkSendInput) (flow.BulkSendResult, error) {
	b := bulkSend{state: in, pause: bulkPoll}
	if err := b.setup(ctx); err != nil {
		return flow.BulkSendResult{}, err
	}
	return b.run(ctx)
}

type bulkSend struct {
	state   flow.BulkSendInput
	last    activities.TakeChunkResult
	pause   time.Duration // of the next look at a full window
	signals []workflow.ReceiveChannel
}

func (b *bulkSend) setup(ctx workflow.Context) error {
	for _, name := range []string{flow.PauseSignal, flow.ResumeSignal, flow.CancelSignal} {
		b.signals = append(b.signals, workflow.GetSignalChannel(ctx, name))
	}
	err := workflow.SetQueryHandler(ctx, flow.ProgressQuery, func() (flow.BulkSendInput, error) { return b.state, nil })
	if err != nil {
		return fmt.Errorf("set query handler: %w", err)
	}
	return nil
}

func (b *bulkSend) run(ctx workflow.Context) (flow.BulkSendResult, error) {
	for {
		if err := b.take(ctx); err != nil {
			return flow.BulkSendResult{}, err
		}
		if b.last.Status == "completed" || b.last.Status == "cancelled" {
			b.describe(ctx, b.last.Status)
			return flow.BulkSendResult{Status: b.last.Status, Queued: b.state.Queued, Dispatches: b.state.Dispatches}, nil
		}
		if b.last.Taken == 0 {
			if err := b.wait(ctx); err != nil {
				return flow.BulkSendResult{}, err
			}
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			b.drain() // whatever they say, the next run asks the database first
			b.state.Generation++
			return flow.BulkSendResult{}, workflow.NewContinueAsNewError(ctx, BulkSend, b.state)
		}
	}
}

func (b *bulkSend) take(ctx workflow.Context) error {
	var bulkSends *activities.BulkSends
	b.drain()
	b.last = activities.TakeChunkResult{}
	err := workflow.ExecuteActivity(bookkeeping(ctx), bulkSends.TakeChunk, activities.TakeChunkInput{
		TenantID: b.state.TenantID, BulkSendID: b.state.BulkSendID, Window: bulkWindow,
	}).Get(ctx, &b.last)
	if err != nil {
		return err
	}
	if b.last.Taken > 0 {
		b.state.Queued += b.last.Taken
		b.state.Dispatches++
		b.pause = bulkPoll
		b.describe(ctx, "running")
	}
	return nil
}

// wait sleeps until there may be something to take, or somebody has changed what is.
func (b *bulkSend) wait(ctx workflow.Context) error {
	pause, why := b.reason(ctx)
	b.describe(ctx, why)
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: pause, TimerOptions: workflow.TimerOptions{Summary: why},
	}, b.told)
	return err
}

func (b *bulkSend) reason(ctx workflow.Context) (pause time.Duration, why string) {
	switch {
	case b.last.Status == "paused":
		return bulkLook, "paused"
	case b.last.Suspended:
		return bulkLook, "the tenant is suspended"
	case b.last.Open >= bulkWindow || b.last.NextAt.IsZero():
		pause = b.pause
		b.pause = min(2*b.pause, bulkPollMost)
		return pause, fmt.Sprintf("%d queued or being sent", b.last.Open)
	default:
		pause = max(b.last.NextAt.Sub(workflow.Now(ctx)), bulkPoll)
		return min(pause, bulkLook), "waits until " + b.last.NextAt.UTC().Format(time.RFC3339)
	}
}

func (b *bulkSend) told() bool {
	for _, channel := range b.signals {
		if channel.Len() > 0 {
			return true
		}
	}
	return false
}

// drain takes the signals that have come: one look at the database answers all.
func (b *bulkSend) drain() {
	for _, channel := range b.signals {
		for channel.ReceiveAsync(nil) {
		}
	}
}

func (b *bulkSend) describe(ctx workflow.Context, state string) {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d of %d lines are emails, in %d dispatches; %d left. State: %s.",
		b.state.Queued, b.state.Lines, b.state.Dispatches, b.last.Left, state))
}
