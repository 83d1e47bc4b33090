// Package workflows is the deterministic half of Mailtura: what happens in which order,
// what is waited for, and what is done when something goes wrong. It has no clock, network
// or database of its own; everything with an effect is an activity.
//
// One file is one workflow: its story, then its steps, then its messages.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// deliverInline is the first delivery of a small dispatch: inside the workflow task, in
// the process that accepted the email. It is tried once, since a regular activity follows.
func deliverInline(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: time.Minute,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
		Summary:                "Deliver",
	})
}

// deliver has a heartbeat, so that the mail of a worker that died is taken over soon, and
// is retried for as long as it takes: a refusal of a mail is a result, an error is ours. The
// pause between tries stays short, so that after a long outage nothing is late.
func deliver(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour,
		HeartbeatTimeout:    15 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 10 * time.Second},
	})
}

// bookkeeping is a short statement or two on the database, retried until it is done.
func bookkeeping(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, MaximumInterval: 10 * time.Second},
	})
}

// sweeping is long work in chunks with a heartbeat, retried until it is done.
func sweeping(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    15 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
}

// call tells an endpoint of events. It has a heartbeat, so that the calls of a worker that
// died are taken over soon; an endpoint that fails is a result, an error is ours.
func call(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    15 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
}
