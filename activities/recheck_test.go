package activities_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/tenant"
)

// fakeSignals takes signals, and answers with what answer says.
type fakeSignals struct {
	client.Client
	answer func(workflowID string) error

	mu   sync.Mutex
	sent []string // workflow ids
}

func (f *fakeSignals) SignalWorkflow(_ context.Context, workflowID, _, signal string, _ any) error {
	if err := f.answer(workflowID); err != nil {
		return err
	}
	if signal != flow.RecheckSignal {
		return errors.New("another signal: " + signal)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, workflowID)
	return nil
}

// carried makes dispatches whose workflows have started, and gives their workflows.
func (b *bundle) carried(n int) (dispatches []uuid.UUID, workflows []string) {
	b.t.Helper()
	for range n {
		in := b.dispatch(newEmail("ada@example.com"))
		require.NoError(b.t, b.Store.SetDispatchRun(b.t.Context(), acme, in.DispatchID, "run"))
		dispatches = append(dispatches, in.DispatchID)
		workflows = append(workflows, flow.SendEmailsID(acme, in.DispatchID))
	}
	return dispatches, workflows
}

func TestRecheckDispatches(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	dispatches, workflows := b.carried(4)
	b.exec(`UPDATE dispatches SET finished_at = $2 WHERE id = $1`, dispatches[1], time.Now())
	starting := flow.SendEmailsID(acme, b.dispatch(newEmail("eve@example.com")).DispatchID) // it may have, unknown to us
	ended := workflows[2]
	signals := &fakeSignals{answer: func(id string) error {
		if id == ended {
			return serviceerror.NewNotFound("it has ended")
		}
		return nil
	}}
	l := &activities.Lifecycle{Store: b.Store, Flow: flow.NewClient(signals, nil)}
	recheck := func(after *uuid.UUID) []string {
		signals.sent = nil
		env := newActivityEnvironment(t, l)
		if after != nil {
			env.SetHeartbeatDetails(*after)
		}
		_, err := env.ExecuteActivity(l.RecheckDispatches, activities.RecheckDispatchesInput{TenantID: acme})
		require.NoError(t, err)
		return slices.Sorted(slices.Values(signals.sent))
	}
	require.ElementsMatch(t, []string{workflows[0], workflows[3], starting}, recheck(nil))
	require.ElementsMatch(t, []string{workflows[3], starting}, recheck(&dispatches[0]), "a retry begins where the attempt before was")
}

func TestRecheckDispatches_TemporalAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.carried(1)
	signals := &fakeSignals{answer: func(string) error { return serviceerror.NewUnavailable("away") }}
	l := &activities.Lifecycle{Store: b.Store, Flow: flow.NewClient(signals, nil)}
	_, err := newActivityEnvironment(t, l).ExecuteActivity(l.RecheckDispatches, activities.RecheckDispatchesInput{TenantID: acme})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "temporal_unavailable", failure.Type())
	require.False(t, failure.NonRetryable())
}
