package activities_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

// waitingLessor is the lessor of a Temporal that does not answer.
type waitingLessor struct{ entered chan struct{} }

func (w waitingLessor) Lease(ctx context.Context, _ string, _ flow.LeaseInput) (flow.Lease, error) {
	w.entered <- struct{}{}
	<-ctx.Done()
	return flow.Lease{}, ctx.Err()
}

// fading is a lease of n slots that begin one after the other, the first of them at once.
func fading(n int, interval time.Duration) flow.Lease {
	now := time.Now()
	return flow.Lease{
		Slots:   quota.Slots{Count: n, First: now, From: now, Interval: interval, Slack: time.Minute},
		RetryAt: now.Add(time.Duration(n) * interval),
	}
}

func TestPermits_InlineTakesWhatIsOfUseAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) { return fading(3, time.Hour), nil }}
		permits := activities.NewPermits(lessor)
		limitedTenant := tenant.Tenant{ID: acme, Settings: limited()}
		grant, err := permits.Take(t.Context(), limitedTenant, 3, true)
		require.NoError(t, err)
		require.Equal(t, 1, grant.Count())
		require.Positive(t, lessor.calls()[0].Within)

		grant, err = permits.Take(t.Context(), limitedTenant, 1, true)
		require.NoError(t, err)
		require.Zero(t, grant.Count())
		require.WithinDuration(t, time.Now().Add(time.Hour), grant.RetryAt(), time.Second)
		require.Len(t, lessor.calls(), 1, "another lease would not help")

		grant, err = permits.Take(t.Context(), limitedTenant, 2, false)
		require.NoError(t, err)
		require.Equal(t, 2, grant.Count(), "the others are left to a delivery that may wait")
		require.Len(t, lessor.calls(), 1)
	})
}

// A Temporal that is slow does not hold up a workflow task, neither when an inline delivery
// asks for a lease, nor when another delivery does.
func TestPermits_InlineDoesNotWaitForALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := waitingLessor{entered: make(chan struct{}, 2)}
		permits := activities.NewPermits(lessor)
		limitedTenant := tenant.Tenant{ID: acme, Settings: limited()}
		_, err := permits.Take(t.Context(), limitedTenant, 1, true)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-lessor.entered

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := permits.Take(ctx, limitedTenant, 1, false)
			ended <- err
		}()
		<-lessor.entered
		_, err = permits.Take(t.Context(), limitedTenant, 1, true)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, ended, "the other one waits on")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A request whose answer was not waited for is repeated as it was, and its permits are used.
func TestPermits_AsksAgainWhatHadNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{lease: func(call int, in flow.LeaseInput) (flow.Lease, error) {
			if call == 0 {
				return flow.Lease{}, context.DeadlineExceeded
			}
			return slotsAt(in.Want, time.Now(), time.Minute), nil
		}}
		permits := activities.NewPermits(lessor)
		limitedTenant := tenant.Tenant{ID: acme, Settings: limited()}
		_, err := permits.Take(t.Context(), limitedTenant, 2, true)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for range 2 {
			grant, err := permits.Take(t.Context(), limitedTenant, 2, false)
			require.NoError(t, err)
			require.Equal(t, 2, grant.Count())
		}
		asked := lessor.calls()
		require.Len(t, asked, 3)
		require.Equal(t, asked[0], asked[1])
		require.NotEqual(t, asked[1].RequestID, asked[2].RequestID)
	})
}

// Many small deliveries share leases while there are permits to spare, and ask for what they
// need when there are none.
func TestPermits_SmallDeliveriesShareLeases(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		retryIn time.Duration
		atMost  int
	}{"permits to spare": {-time.Second, 10}, "all are taken": {time.Second, 200}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lessor := &fakeLessor{lease: func(_ int, in flow.LeaseInput) (flow.Lease, error) {
					lease := slotsAt(in.Want, time.Now(), time.Minute)
					lease.RetryAt = time.Now().Add(tc.retryIn)
					return lease, nil
				}}
				permits := activities.NewPermits(lessor)
				for range 200 {
					grant, err := permits.Take(t.Context(), tenant.Tenant{ID: acme, Settings: limited()}, 1, true)
					require.NoError(t, err)
					require.Equal(t, 1, grant.Count())
				}
				asked := 0
				for _, in := range lessor.calls() {
					asked += in.Want
				}
				require.LessOrEqual(t, len(lessor.calls()), tc.atMost)
				require.GreaterOrEqual(t, asked, 200)
				require.LessOrEqual(t, asked, 400, "not much more than is taken")
			})
		})
	}
}

func (b *bundle) inline(addresses ...string) (email.Email, activities.DeliverInput) {
	b.t.Helper()
	e := newEmail(addresses...)
	in := b.dispatch(e)
	in.Inline = true
	return e, in
}

// An inline delivery leaves what it has no permit for to one that may wait: at once when
// there will be one soon, else when there is one.
func TestDeliver_InlineDoesNotWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		retryIn time.Duration
		more    bool
	}{"soon": {100 * time.Millisecond, true}, "later": {time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, limited())
			lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
				lease := slotsAt(1, time.Now(), time.Minute)
				lease.RetryAt = time.Now().Add(tc.retryIn)
				return lease, nil
			}}
			b.Permits = activities.NewPermits(lessor)
			_, in := b.inline("a@example.com", "b@example.com", "c@example.com")
			result := b.deliver(in)
			require.Equal(t, [2]int{1, 2}, [2]int{result.Sent, result.Queued})
			require.Equal(t, tc.more, result.More)
			require.Len(t, lessor.calls(), 1)
			if !tc.more {
				require.Equal(t, activities.ReasonRateLimit, result.Reason)
				require.True(t, result.NextAt.After(time.Now().Add(50*time.Minute)))
			}
		})
	}
}

// A permit that lapses before its turn is not waited for again: the recipient is put back.
func TestDeliver_InlinePutsBackWhatLapses(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	b.Turns = activities.NewTurns(1)
	require.NoError(t, b.Turns.Wait(t.Context(), "other", 1)) // until the permit has lapsed
	const slack = 300 * time.Millisecond
	b.Permits = activities.NewPermits(&fakeLessor{lease: func(call int, _ flow.LeaseInput) (flow.Lease, error) {
		if call == 0 {
			time.AfterFunc(2*slack, b.Turns.Done)
			return slotsAt(1, time.Now(), slack), nil
		}
		return flow.Lease{RetryAt: time.Now().Add(time.Hour)}, nil
	}})
	e, in := b.inline("ada@example.com")
	_, err := b.try(t.Context(), in)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.False(t, failure.NonRetryable())
	require.Equal(t, email.Queued, b.recipients(e)["ada@example.com"].Status)
	require.Empty(t, b.mails())
}

// A delivery that was busy until there are permits again goes on, without the way over a timer.
func TestDeliver_GoesOnWhenThereAreMorePermits(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
		lease := slotsAt(2, time.Now(), time.Minute)
		lease.RetryAt = time.Now().Add(400 * time.Millisecond)
		return lease, nil
	}}
	b.Permits = activities.NewPermits(lessor)
	result := b.deliver(b.dispatch(newEmail("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com")))
	require.Equal(t, 5, result.Sent)
	asked := lessor.calls()
	require.Len(t, asked, 3)
	require.Equal(t, []int{5, 3, 1}, []int{asked[0].Want, asked[1].Want, asked[2].Want})
}
