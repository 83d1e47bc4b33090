package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/workflows"
)

// fakeBulkSends answers TakeChunk as its function says.
type fakeBulkSends struct {
	take  func(call int) (activities.TakeChunkResult, error)
	asked []activities.TakeChunkInput
}

func (f *fakeBulkSends) TakeChunk(_ context.Context, in activities.TakeChunkInput) (activities.TakeChunkResult, error) {
	f.asked = append(f.asked, in)
	return f.take(len(f.asked))
}

var bulkInput = flow.BulkSendInput{TenantID: "acme-corp", BulkSendID: id.New(), Lines: 1200}

func newBulkEnvironment(
	t *testing.T, take func(call int) (activities.TakeChunkResult, error),
) (*testsuite.TestWorkflowEnvironment, *fakeBulkSends) {
	t.Helper()
	env, fake := newEnvironment(t), &fakeBulkSends{take: take}
	env.RegisterActivity(fake)
	return env, fake
}

func bulkResult(t *testing.T, env *testsuite.TestWorkflowEnvironment) (result flow.BulkSendResult) {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, env.GetWorkflowResult(&result))
	return result
}

func TestBulkSend_TakesChunkAfterChunk(t *testing.T) {
	t.Parallel()
	env, fake := newBulkEnvironment(t, func(call int) (activities.TakeChunkResult, error) {
		switch call {
		case 1, 2:
			return activities.TakeChunkResult{Status: "running", Taken: 500, Left: 1200 - 500*call}, nil
		case 3:
			return activities.TakeChunkResult{}, errors.New("the database is away")
		}
		return activities.TakeChunkResult{Status: "completed", Taken: 200}, nil
	})
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	require.Equal(t, flow.BulkSendResult{Status: "completed", Queued: 1200, Dispatches: 3}, bulkResult(t, env))
	for _, in := range fake.asked {
		require.Equal(t, activities.TakeChunkInput{TenantID: "acme-corp", BulkSendID: bulkInput.BulkSendID, Window: 2000}, in)
	}
	value, err := env.QueryWorkflow(flow.ProgressQuery)
	require.NoError(t, err)
	var state flow.BulkSendInput
	require.NoError(t, value.Get(&state))
	require.Equal(t, 1200, state.Queued)
}

// While the window is full it looks again after 0.5 s, and then ever more seldom, up to 30 s.
func TestBulkSend_WaitsForTheWindow(t *testing.T) {
	t.Parallel()
	var at []time.Time
	var env *testsuite.TestWorkflowEnvironment
	env, _ = newBulkEnvironment(t, func(call int) (activities.TakeChunkResult, error) {
		at = append(at, env.Now())
		switch call {
		case 10:
			return activities.TakeChunkResult{Status: "running", Taken: 500, Left: 1}, nil
		case 12:
			return activities.TakeChunkResult{Status: "completed", Taken: 1}, nil
		}
		return activities.TakeChunkResult{Status: "running", Open: 2000, Left: 501}, nil
	})
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	require.Equal(t, "completed", bulkResult(t, env).Status)
	var pauses []float64
	for i := range at[1:] {
		pauses = append(pauses, at[i+1].Sub(at[i]).Round(100*time.Millisecond).Seconds())
	}
	require.Equal(t, []float64{0.5, 1, 2, 4, 8, 16, 30, 30, 30, 0, 0.5}, pauses, "and is quick again after a chunk")
}

// A paused bulk send waits for the signal; what the signal says is in the database.
func TestBulkSend_PauseAndResume(t *testing.T) {
	t.Parallel()
	paused := false
	var resumedAt, takenAt time.Time
	var env *testsuite.TestWorkflowEnvironment
	env, _ = newBulkEnvironment(t, func(int) (activities.TakeChunkResult, error) {
		if paused {
			return activities.TakeChunkResult{Status: "paused", Left: 500}, nil
		}
		if resumedAt.IsZero() {
			return activities.TakeChunkResult{Status: "running", Open: 2000, Left: 500}, nil
		}
		takenAt = env.Now()
		return activities.TakeChunkResult{Status: "completed", Taken: 500}, nil
	})
	env.RegisterDelayedCallback(func() { paused = true; env.SignalWorkflow(flow.PauseSignal, nil) }, 10*time.Second)
	env.RegisterDelayedCallback(func() {
		paused, resumedAt = false, env.Now()
		env.SignalWorkflow(flow.ResumeSignal, nil)
	}, time.Minute)
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	require.Equal(t, 500, bulkResult(t, env).Queued)
	require.Less(t, takenAt.Sub(resumedAt), 100*time.Millisecond)
}

// A signal that got lost while Temporal was away is not missed for long.
func TestBulkSend_ResumedWithoutSignal(t *testing.T) {
	t.Parallel()
	env, fake := newBulkEnvironment(t, func(call int) (activities.TakeChunkResult, error) {
		if call == 1 {
			return activities.TakeChunkResult{Status: "paused", Left: 1}, nil
		}
		return activities.TakeChunkResult{Status: "completed", Taken: 1}, nil
	})
	start := env.Now()
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	bulkResult(t, env)
	require.Len(t, fake.asked, 2)
	require.InDelta(t, 300, env.Now().Sub(start).Seconds(), 1)
}

func TestBulkSend_Cancelled(t *testing.T) {
	t.Parallel()
	cancelled := false
	env, _ := newBulkEnvironment(t, func(call int) (activities.TakeChunkResult, error) {
		switch {
		case cancelled:
			return activities.TakeChunkResult{Status: "cancelled"}, nil
		case call == 1:
			return activities.TakeChunkResult{Status: "running", Taken: 500, Left: 700}, nil
		}
		return activities.TakeChunkResult{Status: "running", Open: 2100, Left: 700}, nil
	})
	env.RegisterDelayedCallback(func() { cancelled = true; env.SignalWorkflow(flow.CancelSignal, nil) }, 40*time.Second)
	start := env.Now()
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	require.Equal(t, flow.BulkSendResult{Status: "cancelled", Queued: 500, Dispatches: 1}, bulkResult(t, env))
	require.InDelta(t, 40, env.Now().Sub(start).Seconds(), 1, "at once")
}

// What is held or scheduled waits for its time, with a look now and then: limits are changed.
func TestBulkSend_WaitsForAChunksTime(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	var opens time.Time
	env, fake := newBulkEnvironment(t, func(int) (activities.TakeChunkResult, error) {
		if env.Now().Before(opens) {
			return activities.TakeChunkResult{Status: "running", Left: 1, NextAt: opens}, nil
		}
		return activities.TakeChunkResult{Status: "completed", Taken: 1}, nil
	})
	start := env.Now()
	opens = start.Add(12 * time.Minute)
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	bulkResult(t, env)
	require.Len(t, fake.asked, 4, "at once, after 5, 10 and 12 minutes")
	require.InDelta(t, 720, env.Now().Sub(start).Seconds(), 1)
}

// Its state goes from generation to generation.
func TestBulkSend_TwoGenerations(t *testing.T) {
	t.Parallel()
	env, _ := newBulkEnvironment(t, func(int) (activities.TakeChunkResult, error) {
		return activities.TakeChunkResult{Status: "running", Taken: 500, Left: 700}, nil
	})
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Equal(t, flow.BulkSend, next.WorkflowType.Name)
	var state flow.BulkSendInput
	require.NoError(t, decode(next.Input, &state))
	want := bulkInput
	want.Queued, want.Dispatches, want.Generation = 500, 1, 1
	require.Equal(t, want, state)

	second, _ := newBulkEnvironment(t, func(int) (activities.TakeChunkResult, error) {
		return activities.TakeChunkResult{Status: "completed", Taken: 700}, nil
	})
	second.ExecuteWorkflow(workflows.BulkSend, state)
	require.Equal(t, flow.BulkSendResult{Status: "completed", Queued: 1200, Dispatches: 2}, bulkResult(t, second))
}

// While its tenant is suspended a bulk send looks rarely, and goes on at once when it is told.
func TestBulkSend_TenantSuspended(t *testing.T) {
	t.Parallel()
	env, fake := newBulkEnvironment(t, func(call int) (activities.TakeChunkResult, error) {
		if call < 3 {
			return activities.TakeChunkResult{Status: "running", Suspended: true, Left: 1200}, nil
		}
		return activities.TakeChunkResult{Status: "completed", Taken: 1200}, nil
	})
	began := env.Now()
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(flow.ResumeSignal, nil) }, 6*time.Minute)
	env.ExecuteWorkflow(workflows.BulkSend, bulkInput)
	require.Equal(t, "completed", bulkResult(t, env).Status)
	require.Len(t, fake.asked, 3)
	require.InDelta(t, 6*60, env.Now().Sub(began).Seconds(), 1)
}
