package workflows_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/workflows"
)

// quotaBundle gathers what a TenantQuota answers, in the order of the requests.
type quotaBundle struct {
	env       *testsuite.TestWorkflowEnvironment
	lifecycle fakeLifecycle
	leases    []flow.Lease
	refused   []error
}

var perMinute = quota.Rate{Count: 60, Per: time.Minute, Burst: 2}

func newQuota(t *testing.T) *quotaBundle {
	t.Helper()
	b := &quotaBundle{env: newEnvironment(t)}
	b.env.RegisterActivity(&b.lifecycle)
	return b
}

// ask requests permits at a time after the start.
func (b *quotaBundle) ask(at time.Duration, in flow.LeaseInput) {
	b.env.RegisterDelayedCallback(func() {
		b.env.UpdateWorkflow(flow.LeaseUpdate, in.RequestID+"@"+at.String(), &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { b.refused = append(b.refused, err) },
			OnComplete: func(result any, err error) {
				if err != nil {
					b.refused = append(b.refused, err)
					return
				}
				b.leases = append(b.leases, result.(flow.Lease))
			},
		}, in)
	}, at)
}

func request(n, want int) flow.LeaseInput {
	return flow.LeaseInput{RequestID: "r" + strconv.Itoa(n), Want: want, Version: 1, Rate: perMinute}
}

func (b *quotaBundle) run(t *testing.T, in flow.TenantQuotaInput) {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.TenantQuota, in)
	require.True(t, b.env.IsWorkflowCompleted())
}

func state() flow.TenantQuotaInput {
	return flow.TenantQuotaInput{TenantID: "acme-corp", Version: 1, Rate: perMinute}
}

func TestTenantQuota_PacesAndEndsWhenIdle(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	b.ask(0, request(1, 30))
	b.ask(time.Second, request(2, 30))
	b.run(t, state())
	require.NoError(t, b.env.GetWorkflowError())
	require.Len(t, b.leases, 2)
	require.Equal(t, 2, b.leases[0].Slots.Count, "what the horizon allows")
	first := b.leases[0].Slots
	require.Equal(t, perMinute.Interval(), first.At(1).Sub(first.At(0)))
	require.False(t, b.leases[1].Slots.At(0).Before(first.At(1).Add(perMinute.Interval())), "slots never overlap")
}

func TestTenantQuota_RefusesWithoutHistory(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	slow := flow.LeaseInput{RequestID: "r1", Want: 5, Version: 2, Rate: quota.Rate{Count: 1, Per: time.Minute, Burst: 1}}
	b.ask(0, slow)
	slow.RequestID = "r2"
	b.ask(time.Second, slow)
	b.ask(2*time.Second, flow.LeaseInput{RequestID: "r3", Want: 0, Rate: perMinute})
	b.run(t, state())
	require.Len(t, b.leases, 1)
	require.Len(t, b.refused, 2)
	var refusal *temporal.ApplicationError
	require.ErrorAs(t, b.refused[0], &refusal)
	require.Equal(t, flow.NoPermits, refusal.Type())
	var lease flow.Lease
	require.NoError(t, refusal.Details(&lease))
	require.Equal(t, b.leases[0].RetryAt, lease.RetryAt)
	require.ErrorAs(t, b.refused[1], &refusal)
	require.Equal(t, "invalid_lease", refusal.Type())
}

func TestTenantQuota_SameRequestSameAnswer(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	b.ask(0, request(1, 1))
	b.ask(time.Second, request(1, 1))
	b.run(t, state())
	require.Len(t, b.leases, 2)
	require.Equal(t, b.leases[0], b.leases[1])
}

func TestTenantQuota_ChangedLimitsAtOnce(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	fast := quota.Rate{Count: 1000, Per: time.Second, Burst: 10}
	b.ask(0, request(1, 30))
	b.env.RegisterDelayedCallback(func() {
		b.env.SignalWorkflow(flow.SetLimitsSignal, flow.SetLimitsInput{Version: 5, Rate: fast})
		b.env.SignalWorkflow(flow.SetLimitsSignal, flow.SetLimitsInput{Version: 3, Rate: perMinute}) // late, and older
	}, 100*time.Millisecond)
	b.ask(200*time.Millisecond, request(2, 30)) // brings version 1
	b.run(t, state())
	require.Len(t, b.leases, 2)
	require.Equal(t, 30, b.leases[1].Slots.Count)
	require.Len(t, b.lifecycle.rechecked, 1, "those that wait are told")
}

func TestTenantQuota_LimitsComeWithRequests(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	b.ask(0, request(1, 30))
	b.ask(100*time.Millisecond, flow.LeaseInput{RequestID: "r2", Want: 30, Version: 2, Rate: quota.Rate{Count: 1000, Per: time.Second, Burst: 10}})
	b.run(t, state())
	require.Len(t, b.leases, 2)
	require.Equal(t, 30, b.leases[1].Slots.Count)
}

func TestTenantQuota_Usage(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	b.ask(0, request(1, 1))
	var usage flow.TenantQuotaInput
	b.env.RegisterDelayedCallback(func() {
		value, err := b.env.QueryWorkflow(flow.UsageQuery)
		if err == nil {
			err = value.Get(&usage)
		}
		require.NoError(t, err)
	}, time.Second)
	b.run(t, state())
	require.EqualValues(t, 1, usage.Granted)
	require.Equal(t, perMinute, usage.Rate)
}
