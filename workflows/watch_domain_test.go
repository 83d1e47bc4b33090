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

// fakeDomains answers CheckDomain as its function says.
type fakeDomains struct {
	check func(look int) (activities.CheckDomainResult, error)
	at    []time.Time
	env   *testsuite.TestWorkflowEnvironment
}

func (f *fakeDomains) CheckDomain(context.Context, activities.CheckDomainInput) (activities.CheckDomainResult, error) {
	f.at = append(f.at, f.env.Now())
	return f.check(len(f.at))
}

var domainInput = flow.WatchDomainInput{TenantID: "acme-corp", DomainID: id.New()}

// watch runs WatchDomain, whose looks find what the function says.
func watch(
	t *testing.T, prepare func(*testsuite.TestWorkflowEnvironment), check func(env *testsuite.TestWorkflowEnvironment, look int) (activities.CheckDomainResult, error),
) (*testsuite.TestWorkflowEnvironment, *fakeDomains) {
	t.Helper()
	env := newEnvironment(t)
	fake := &fakeDomains{env: env, check: func(look int) (activities.CheckDomainResult, error) { return check(env, look) }}
	env.RegisterActivity(fake)
	prepare(env)
	env.ExecuteWorkflow(workflows.WatchDomain, domainInput)
	require.True(t, env.IsWorkflowCompleted())
	return env, fake
}

func nothing(*testsuite.TestWorkflowEnvironment) {}

// It looks again when the database says, through errors of ours, and ends with the domain.
func TestWatchDomain_UntilTheDomainIsGone(t *testing.T) {
	t.Parallel()
	pauses := []time.Duration{time.Minute, 5 * time.Minute, 6 * time.Hour}
	env, fake := watch(t, nothing, func(env *testsuite.TestWorkflowEnvironment, look int) (activities.CheckDomainResult, error) {
		switch {
		case look == 2:
			return activities.CheckDomainResult{}, errors.New("the database is away")
		case look == 5:
			return activities.CheckDomainResult{}, nil
		case look > 2:
			look--
		}
		return activities.CheckDomainResult{Status: "pending", Missing: 2, NextAt: env.Now().Add(pauses[look-1])}, nil
	})
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.at, 5)
	require.WithinDuration(t, fake.at[0].Add(time.Minute+5*time.Minute+6*time.Hour), fake.at[4], time.Minute)
	value, err := env.QueryWorkflow(flow.WatchQuery)
	require.NoError(t, err)
	var state flow.WatchDomainInput
	require.NoError(t, value.Get(&state))
	require.Equal(t, 4, state.Looks)
}

// A signal ends the wait; several of them are one look.
func TestWatchDomain_LooksWhenItIsTold(t *testing.T) {
	t.Parallel()
	env, fake := watch(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			for range 3 {
				env.SignalWorkflow(flow.LookSignal, nil)
			}
		}, time.Minute)
	}, func(env *testsuite.TestWorkflowEnvironment, look int) (activities.CheckDomainResult, error) {
		if look == 2 {
			return activities.CheckDomainResult{}, nil
		}
		return activities.CheckDomainResult{Status: "verified", NextAt: env.Now().Add(6 * time.Hour)}, nil
	})
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, fake.at, 2)
	require.WithinDuration(t, fake.at[0].Add(time.Minute), fake.at[1], time.Second)
}

// What the database would have had looked at in the past does not make a run spin.
func TestWatchDomain_LateIsASecond(t *testing.T) {
	t.Parallel()
	env, fake := watch(t, nothing, func(env *testsuite.TestWorkflowEnvironment, look int) (activities.CheckDomainResult, error) {
		if look == 2 {
			return activities.CheckDomainResult{}, nil
		}
		return activities.CheckDomainResult{Status: "lost", Blocked: true, Rotating: true, NextAt: env.Now().Add(-time.Hour)}, nil
	})
	require.NoError(t, env.GetWorkflowError())
	require.WithinDuration(t, fake.at[0].Add(time.Second), fake.at[1], 100*time.Millisecond)
}

// A long history is followed by a run that looks first.
func TestWatchDomain_ContinuesAsNew(t *testing.T) {
	t.Parallel()
	env, _ := watch(t, func(env *testsuite.TestWorkflowEnvironment) { env.SetContinueAsNewSuggested(true) },
		func(env *testsuite.TestWorkflowEnvironment, _ int) (activities.CheckDomainResult, error) {
			return activities.CheckDomainResult{Status: "verified", NextAt: env.Now().Add(6 * time.Hour)}, nil
		})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &again)
	var in flow.WatchDomainInput
	require.NoError(t, decode(again.Input, &in))
	require.Equal(t, flow.WatchDomainInput{TenantID: "acme-corp", DomainID: domainInput.DomainID, Looks: 1, Generation: 1}, in)

	second, fake := newEnvironment(t), &fakeDomains{check: func(int) (activities.CheckDomainResult, error) { return activities.CheckDomainResult{}, nil }}
	fake.env = second
	second.RegisterActivity(fake)
	second.ExecuteWorkflow(workflows.WatchDomain, in)
	require.NoError(t, second.GetWorkflowError())
	require.Len(t, fake.at, 1)
}
