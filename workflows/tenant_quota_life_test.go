package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
)

// Two generations: what was handed out, and whom it was answered to, passes from one to
// the other, so that the promise holds across them.
func TestTenantQuota_ContinuesAsNew(t *testing.T) {
	t.Parallel()
	first := newQuota(t)
	first.ask(0, request(1, 2))
	first.env.RegisterDelayedCallback(func() {
		first.env.SetContinueAsNewSuggested(true)
		first.env.SignalWorkflow(flow.SetLimitsSignal, flow.SetLimitsInput{Version: 1, Rate: perMinute})
	}, 500*time.Millisecond)
	first.run(t, state())
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, first.env.GetWorkflowError(), &again)
	var carried flow.TenantQuotaInput
	require.NoError(t, decode(again.Input, &carried))
	require.Equal(t, 1, carried.Generation)
	require.EqualValues(t, 2, carried.Granted)

	second := newQuota(t)
	second.env.SetStartTime(first.env.Now())
	second.ask(0, request(1, 2)) // the answer got lost with the first generation
	second.ask(100*time.Millisecond, request(2, 2))
	second.run(t, carried)
	require.Len(t, second.leases, 2)
	require.Equal(t, first.leases[0].Slots.At(1).UnixNano(), second.leases[0].Slots.At(1).UnixNano())
	before := first.leases[0].Slots
	require.False(t, second.leases[1].Slots.At(0).Before(before.At(1).Add(perMinute.Interval()).Add(-time.Microsecond)))
}

// change brings other limits at a time after the start.
func (b *quotaBundle) change(at time.Duration, version int64, rate quota.Rate) {
	b.env.RegisterDelayedCallback(func() {
		b.env.SignalWorkflow(flow.SetLimitsSignal, flow.SetLimitsInput{Version: version, Rate: rate})
	}, at)
}

// An hour without a request is not enough where the bucket takes longer to fill: a new run
// would have a full one.
func TestTenantQuota_EndsWithAFullBucket(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	rare := quota.Rate{Count: 1, Per: time.Hour, Burst: 10}
	in := flow.TenantQuotaInput{TenantID: "acme-corp", Version: 1, Rate: rare}
	began := b.env.Now()
	b.ask(0, flow.LeaseInput{RequestID: "r1", Want: 100, Version: 1, Rate: rare})
	b.ask(3*time.Hour, flow.LeaseInput{RequestID: "r2", Want: 100, Version: 1, Rate: rare})
	b.run(t, in)
	require.NoError(t, b.env.GetWorkflowError())
	require.Len(t, b.leases, 2)
	require.Equal(t, 9, b.leases[0].Slots.Count)
	require.Equal(t, 2, b.leases[1].Slots.Count, "what three hours have brought")
	require.GreaterOrEqual(t, b.env.Now().Sub(began), 11*rare.Interval(), "until all are there again")
}

// What an inline delivery can not use is not handed out to it.
func TestTenantQuota_HandsOutOnlyWhatIsOfUse(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	soon := request(1, 5)
	soon.Within = 50 * time.Millisecond
	b.ask(0, soon)
	soon.RequestID = "r2"
	b.ask(10*time.Millisecond, soon)
	b.ask(20*time.Millisecond, request(3, 5))
	b.run(t, state())
	require.Len(t, b.leases, 2)
	require.Equal(t, []int{1, 1}, []int{b.leases[0].Slots.Count, b.leases[1].Slots.Count})
	require.Len(t, b.refused, 1)
	require.Equal(t, perMinute.Interval(), b.leases[1].Slots.At(0).Sub(b.leases[0].Slots.At(0)), "none is lost to a refusal")
}

// Dispatches that wait are told of limits that allow more, once for each change.
func TestTenantQuota_RechecksWhenMoreIsAllowed(t *testing.T) {
	t.Parallel()
	faster, slower := quota.Rate{Count: 90, Per: time.Minute, Burst: 2}, quota.Rate{Count: 30, Per: time.Minute, Burst: 2}
	larger := quota.Rate{Count: 60, Per: time.Minute, Burst: 3}
	for name, tc := range map[string]struct {
		rate quota.Rate
		want int
	}{
		"faster": {faster, 1}, "larger burst": {larger, 1}, "lifted": {quota.Rate{}, 1}, "slower": {slower, 0}, "same": {perMinute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newQuota(t)
			b.change(time.Second, 2, tc.rate)
			b.change(2*time.Second, 2, tc.rate) // the same message again
			b.run(t, state())
			require.NoError(t, b.env.GetWorkflowError())
			require.Len(t, b.lifecycle.rechecked, tc.want)
			for _, in := range b.lifecycle.rechecked {
				require.Equal(t, activities.RecheckDispatchesInput{TenantID: "acme-corp"}, in)
			}
		})
	}
}

// Limits that change while dispatches are told have them told again; and a run that is long
// goes on until they are.
func TestTenantQuota_RechecksAgain(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	b.lifecycle.recheck = func() {
		if len(b.lifecycle.rechecked) > 1 {
			return
		}
		b.env.SetContinueAsNewSuggested(true)
		b.env.SignalWorkflow(flow.SetLimitsSignal, flow.SetLimitsInput{Version: 3, Rate: quota.Rate{Count: 120, Per: time.Minute, Burst: 2}})
	}
	b.change(time.Second, 2, quota.Rate{Count: 90, Per: time.Minute, Burst: 2})
	b.run(t, state())
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, b.env.GetWorkflowError(), &again)
	var carried flow.TenantQuotaInput
	require.NoError(t, decode(again.Input, &carried))
	require.Equal(t, 120, carried.Rate.Count)
	require.Len(t, b.lifecycle.rechecked, 2)
	require.False(t, carried.Raised)
}

// A limit that was raised as one run ended is for the next one to tell of.
func TestTenantQuota_RechecksForTheRunBefore(t *testing.T) {
	t.Parallel()
	b := newQuota(t)
	in := state()
	in.Raised = true
	b.run(t, in)
	require.NoError(t, b.env.GetWorkflowError())
	require.Len(t, b.lifecycle.rechecked, 1)
}
