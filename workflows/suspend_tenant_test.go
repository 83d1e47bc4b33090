package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/workflows"
)

var suspendInput = flow.SuspendTenantInput{TenantID: "acme-corp"}

// newSuspension has a tenant that stands, at each look, where stands says; its version is the number of the look.
func newSuspension(t *testing.T, stands ...string) (*testsuite.TestWorkflowEnvironment, *fakeLifecycle) {
	t.Helper()
	env, fake := newEnvironment(t), &fakeLifecycle{}
	fake.stands = func(look int) activities.DrainTenantResult {
		require.LessOrEqual(t, look, len(stands), "it looks too often")
		return activities.DrainTenantResult{Status: stands[look-1], Left: len(stands) - look, Version: int64(look)}
	}
	env.RegisterActivity(fake)
	return env, fake
}

// signalAt has somebody change the suspension after a while.
func signalAt(env *testsuite.TestWorkflowEnvironment, after time.Duration) {
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(flow.SuspensionSignal, nil) }, after)
}

func TestSuspendTenant_UntilItIsResumed(t *testing.T) {
	t.Parallel()
	env, fake := newSuspension(t, "suspended", "suspended", "active")
	signalAt(env, 30*24*time.Hour) // another reason
	signalAt(env, 60*24*time.Hour)
	began := env.Now()
	env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
	require.NoError(t, env.GetWorkflowError())
	require.GreaterOrEqual(t, env.Now().Sub(began), 60*24*time.Hour)
	require.Equal(t, []activities.RecheckDispatchesInput{{TenantID: "acme-corp"}}, fake.rechecked)
	require.Equal(t, 1, fake.woken)
	require.Equal(t, []int64{1, 2, 3}, fake.followed)
}

func TestSuspendTenant_Drains(t *testing.T) {
	t.Parallel()
	env, fake := newSuspension(t, "draining", "draining", "draining", "suspended", "active")
	signalAt(env, time.Hour)
	began := env.Now()
	var suspended time.Duration
	stands := fake.stands
	fake.stands = func(look int) activities.DrainTenantResult {
		if look == 4 {
			suspended = env.Now().Sub(began)
		}
		return stands(look)
	}
	env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
	require.NoError(t, env.GetWorkflowError())
	require.InDelta(t, 3500, suspended.Milliseconds(), 500, "0.5 + 1 + 2 s")
	require.Len(t, fake.rechecked, 1)
}

func TestSuspendTenant_ResumedWhileItDrains(t *testing.T) {
	t.Parallel()
	env, fake := newSuspension(t, "draining", "active")
	signalAt(env, 100*time.Millisecond)
	env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.rechecked, 1)
}

// A tenant that was suspended and resumed again while what waits is woken is looked at again.
func TestSuspendTenant_ChangedMeanwhile(t *testing.T) {
	t.Parallel()
	env, fake := newSuspension(t, "active", "suspended", "active")
	calls := 0
	fake.recheck = func() {
		if calls++; calls == 1 {
			env.SignalWorkflow(flow.SuspensionSignal, nil)
			signalAt(env, time.Minute)
		}
	}
	env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 3, fake.looks)
	require.Len(t, fake.rechecked, 2)
}

func TestSuspendTenant_OfATenantThatIsGone(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"", "deleting"} {
		env, fake := newSuspension(t, status)
		env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
		require.NoError(t, env.GetWorkflowError())
		require.Empty(t, fake.rechecked)
	}
}

func TestSuspendTenant_TwoGenerations(t *testing.T) {
	t.Parallel()
	env, _ := newSuspension(t, "draining")
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(workflows.SuspendTenant, suspendInput)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Equal(t, flow.SuspendTenant, next.WorkflowType.Name)
	var state flow.SuspendTenantInput
	require.NoError(t, decode(next.Input, &state))
	require.Equal(t, suspendInput, state)

	second, fake := newSuspension(t, "draining", "active")
	second.ExecuteWorkflow(workflows.SuspendTenant, state)
	require.NoError(t, second.GetWorkflowError())
	require.Len(t, fake.rechecked, 1)
}
