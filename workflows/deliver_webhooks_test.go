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

// fakeWebhooks answers DeliverEvents as its function says.
type fakeWebhooks struct {
	deliver func(call int) (activities.DeliverEventsResult, error)
	asked   []activities.DeliverEventsInput
	at      []time.Time
	env     *testsuite.TestWorkflowEnvironment
}

func (f *fakeWebhooks) DeliverEvents(_ context.Context, in activities.DeliverEventsInput) (activities.DeliverEventsResult, error) {
	f.asked, f.at = append(f.asked, in), append(f.at, f.env.Now())
	return f.deliver(len(f.asked))
}

var webhookInput = flow.DeliverWebhooksInput{TenantID: "acme-corp", WebhookID: id.New()}

func newWebhookEnvironment(
	t *testing.T, deliver func(call int) (activities.DeliverEventsResult, error),
) (*testsuite.TestWorkflowEnvironment, *fakeWebhooks) {
	t.Helper()
	env := newEnvironment(t)
	fake := &fakeWebhooks{deliver: deliver, env: env}
	env.RegisterActivity(fake)
	return env, fake
}

func standing(t *testing.T, env *testsuite.TestWorkflowEnvironment) (state flow.DeliverWebhooksInput) {
	t.Helper()
	value, err := env.QueryWorkflow(flow.StandingQuery)
	require.NoError(t, err)
	require.NoError(t, value.Get(&state))
	return state
}

// It goes on while there is more, through errors of ours, and ends after an idle hour.
func TestDeliverWebhooks_UntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	env, fake := newWebhookEnvironment(t, func(call int) (activities.DeliverEventsResult, error) {
		switch call {
		case 1:
			return activities.DeliverEventsResult{Delivered: 200, More: true}, nil
		case 2:
			return activities.DeliverEventsResult{}, errors.New("the database is away")
		}
		return activities.DeliverEventsResult{Delivered: 50, Failed: 1}, nil
	})
	began := env.Now()
	env.ExecuteWorkflow(workflows.DeliverWebhooks, webhookInput)
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.asked, 3)
	for _, in := range fake.asked {
		require.Equal(t, activities.DeliverEventsInput{TenantID: "acme-corp", WebhookID: webhookInput.WebhookID}, in)
	}
	require.WithinDuration(t, began.Add(time.Hour), env.Now(), time.Minute)
	state := standing(t, env)
	require.Equal(t, []int{250, 1}, []int{state.Delivered, state.Failed})
}

// A call that is made again is waited for; a signal ends the wait, and any wait.
func TestDeliverWebhooks_WaitsForTheNextCall(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	var fake *fakeWebhooks
	env, fake = newWebhookEnvironment(t, func(call int) (activities.DeliverEventsResult, error) {
		switch call {
		case 1:
			return activities.DeliverEventsResult{Failed: 1, Waiting: 1, NextAt: env.Now().Add(20 * time.Hour)}, nil
		case 2:
			return activities.DeliverEventsResult{Delivered: 1, Waiting: 1, NextAt: env.Now().Add(10 * time.Hour)}, nil
		case 3:
			return activities.DeliverEventsResult{Delivered: 1, NextAt: env.Now().Add(-time.Second)}, nil
		case 5:
			return activities.DeliverEventsResult{Ended: true}, nil
		}
		return activities.DeliverEventsResult{}, nil
	})
	began := env.Now()
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(flow.WakeSignal, nil) }, 2*time.Hour)
	env.RegisterDelayedCallback(func() {
		env.SignalWorkflow(flow.WakeSignal, nil) // two of them are one look
		env.SignalWorkflow(flow.WakeSignal, nil)
	}, 12*time.Hour+30*time.Minute)
	env.ExecuteWorkflow(workflows.DeliverWebhooks, webhookInput)
	require.NoError(t, env.GetWorkflowError())
	var hours []float64
	for _, at := range fake.at {
		hours = append(hours, at.Sub(began).Round(time.Minute).Hours())
	}
	require.Equal(t, []float64{0, 2, 12, 12, 12.5}, hours)
}

// A signal that comes while it delivers has it look once more.
func TestDeliverWebhooks_WokenWhileItDelivers(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	env, fake := newWebhookEnvironment(t, func(call int) (activities.DeliverEventsResult, error) {
		if call == 1 {
			env.SignalWorkflow(flow.WakeSignal, nil)
		}
		return activities.DeliverEventsResult{}, nil
	})
	env.ExecuteWorkflow(workflows.DeliverWebhooks, webhookInput)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.asked, 2)
}

// Disabled or deleted: it ends at once.
func TestDeliverWebhooks_Ended(t *testing.T) {
	t.Parallel()
	env, fake := newWebhookEnvironment(t, func(int) (activities.DeliverEventsResult, error) {
		return activities.DeliverEventsResult{Ended: true}, nil
	})
	began := env.Now()
	env.ExecuteWorkflow(workflows.DeliverWebhooks, webhookInput)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.asked, 1)
	require.Less(t, env.Now().Sub(began), time.Minute)
}

// With a long history it continues as new, and the next run goes on where it was.
func TestDeliverWebhooks_TwoGenerations(t *testing.T) {
	t.Parallel()
	env, _ := newWebhookEnvironment(t, func(int) (activities.DeliverEventsResult, error) {
		return activities.DeliverEventsResult{Delivered: 3, Failed: 1, More: true}, nil
	})
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(workflows.DeliverWebhooks, webhookInput)
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &again)
	require.Equal(t, flow.DeliverWebhooks, again.WorkflowType.Name)
	var second flow.DeliverWebhooksInput
	require.NoError(t, decode(again.Input, &second))
	require.Equal(t, flow.DeliverWebhooksInput{
		TenantID: "acme-corp", WebhookID: webhookInput.WebhookID, Delivered: 3, Failed: 1, Generation: 1,
	}, second)

	next, fake := newWebhookEnvironment(t, func(int) (activities.DeliverEventsResult, error) {
		return activities.DeliverEventsResult{Delivered: 1, Ended: true}, nil
	})
	next.ExecuteWorkflow(workflows.DeliverWebhooks, second)
	require.NoError(t, next.GetWorkflowError())
	require.Len(t, fake.asked, 1)
	require.Equal(t, 4, standing(t, next).Delivered)
}
