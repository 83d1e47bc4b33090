package activities_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

// limited are settings with a rate that no test comes near.
func limited() tenant.Settings {
	limit := 100_000
	return tenant.Settings{RateLimit: &limit, RateLimitPer: "second"}
}

// slotsAt is a lease of n slots that are open from an instant for a slack.
func slotsAt(n int, at time.Time, slack time.Duration) flow.Lease {
	return flow.Lease{Slots: quota.Slots{Count: n, First: at, From: at, Slack: slack}, RetryAt: at.Add(time.Minute)}
}

func TestPermits_NoLimitAsksNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{} // would panic
		grant, err := activities.NewPermits(lessor).Take(t.Context(), tenant.Tenant{ID: acme}, 1000, false)
		require.NoError(t, err)
		require.Equal(t, 1000, grant.Count())
		for range 1000 {
			require.NoError(t, grant.Wait(t.Context(), anyTurn()))
		}
		require.Empty(t, lessor.calls())
	})
}

func TestPermits_SharesALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) { return slotsAt(10, time.Now(), time.Minute), nil }}
		permits := activities.NewPermits(lessor)
		acmeTenant := tenant.Tenant{ID: acme, Version: 7, Settings: limited()}
		for range 2 { // the lessor gave more than were asked for
			grant, err := permits.Take(t.Context(), acmeTenant, 5, false)
			require.NoError(t, err)
			require.Equal(t, 5, grant.Count())
		}
		asked := lessor.calls()
		require.Len(t, asked, 1)
		require.Equal(t, 5, asked[0].Want)
		require.Equal(t, int64(7), asked[0].Version)
		require.Equal(t, acmeTenant.Settings.Rate(), asked[0].Rate)
		require.NotEmpty(t, asked[0].RequestID)

		_, err := permits.Take(t.Context(), tenant.Tenant{ID: "other", Settings: limited()}, 1, false)
		require.NoError(t, err)
		require.Len(t, lessor.calls(), 2, "another tenant has another lease")
	})
}

func TestPermits_OneRequestAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}, 2), make(chan struct{})
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
			entered <- struct{}{}
			<-leave
			return slotsAt(8, time.Now(), time.Minute), nil
		}}
		permits := activities.NewPermits(lessor)
		var group sync.WaitGroup
		counts := make(chan int, 2)
		for range 2 {
			group.Go(func() {
				grant, err := permits.Take(t.Context(), tenant.Tenant{ID: acme, Settings: limited()}, 4, false)
				if err == nil {
					counts <- grant.Count()
				}
			})
		}
		<-entered
		close(leave)
		group.Wait()
		require.Equal(t, []int{4, 4}, []int{<-counts, <-counts})
		require.Len(t, lessor.calls(), 1, "the second delivery took from the first one's lease")
	})
}

func TestPermits_ReplacesLapsedSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{lease: func(call int, _ flow.LeaseInput) (flow.Lease, error) {
			if call == 0 { // good when it is taken, lapsed when it is used
				return slotsAt(2, time.Now(), 20*time.Millisecond), nil
			}
			return slotsAt(1, time.Now(), time.Minute), nil
		}}
		grant, err := activities.NewPermits(lessor).Take(t.Context(), tenant.Tenant{ID: acme, Settings: limited()}, 2, false)
		require.NoError(t, err)
		require.Equal(t, 2, grant.Count())
		<-time.After(25 * time.Millisecond) // the process is late
		require.NoError(t, grant.Wait(t.Context(), anyTurn()))
		require.NoError(t, grant.Wait(t.Context(), anyTurn()))
		asked := lessor.calls()
		require.Len(t, asked, 3)
		require.Equal(t, []int{2, 1, 1}, []int{asked[0].Want, asked[1].Want, asked[2].Want})
	})
}

func TestPermits_WaitsForTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opens := time.Now().Add(30 * time.Millisecond)
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) { return slotsAt(1, opens, time.Minute), nil }}
		grant, err := activities.NewPermits(lessor).Take(t.Context(), tenant.Tenant{ID: acme, Settings: limited()}, 1, false)
		require.NoError(t, err)
		require.NoError(t, grant.Wait(t.Context(), anyTurn()))
		require.False(t, time.Now().Before(opens))
	})
}

func TestPermits_GateKeepsSpacing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rate, burst := 100, 1 // one in 10 ms, whatever the slots say
		settings := tenant.Settings{RateLimit: &rate, RateLimitPer: "second", Burst: &burst}
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) { return slotsAt(6, time.Now(), time.Minute), nil }}
		grant, err := activities.NewPermits(lessor).Take(t.Context(), tenant.Tenant{ID: acme, Settings: settings}, 6, false)
		require.NoError(t, err)
		started := time.Now()
		for range 6 {
			require.NoError(t, grant.Wait(t.Context(), anyTurn()))
		}
		require.GreaterOrEqual(t, time.Since(started), 50*time.Millisecond)
	})
}

func TestPermits_WaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
			return slotsAt(1, time.Now().Add(time.Hour), time.Minute), nil
		}}
		grant, err := activities.NewPermits(lessor).Take(t.Context(), tenant.Tenant{ID: acme, Settings: limited()}, 1, false)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, grant.Wait(ctx, anyTurn()), context.Canceled)
	})
}

func TestDeliver_GrantOfLessThanWanted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	retryAt := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	lessor := &fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
		lease := slotsAt(2, time.Now(), time.Minute)
		lease.RetryAt = retryAt
		return lease, nil
	}}
	b.Permits = activities.NewPermits(lessor)
	e := newEmail("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com")

	result := b.deliver(b.dispatch(e))

	require.Equal(t, [2]int{2, 3}, [2]int{result.Sent, result.Queued})
	require.Equal(t, activities.ReasonRateLimit, result.Reason)
	require.WithinDuration(t, retryAt, result.NextAt, time.Second)
	require.True(t, result.NextAt.Before(retryAt), "it asks again a little before")
	require.Equal(t, 5, lessor.calls()[0].Want)
	require.Len(t, b.mails(), 2)
	untouched := 0
	for _, r := range b.recipients(e) {
		if r.Status == email.Queued {
			require.Zero(t, r.Attempts)
			untouched++
		}
	}
	require.Equal(t, 3, untouched)
}

func TestDeliver_NoPermits(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	b.Permits = activities.NewPermits(&fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
		return flow.Lease{RetryAt: time.Now().Add(time.Hour)}, nil
	}})
	result := b.deliver(b.dispatch(newEmail("ada@example.com")))
	require.Equal(t, 1, result.Queued)
	require.Equal(t, activities.ReasonRateLimit, result.Reason)
	require.True(t, result.NextAt.After(time.Now().Add(50*time.Minute)))
	require.Empty(t, b.mails())
}

func TestDeliver_LessorAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	away := fault.Wrap(errors.New("no connection"), fault.Unavailable, "temporal_unavailable", "away")
	b.Permits = activities.NewPermits(&fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) { return flow.Lease{}, away }})
	e := newEmail("ada@example.com")
	_, err := b.try(t.Context(), b.dispatch(e))
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "temporal_unavailable", failure.Type())
	require.False(t, failure.NonRetryable())
	require.Equal(t, email.Queued, b.recipients(e)["ada@example.com"].Status)
}

func TestDeliver_CancelledWhileWaitingPutsBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t, limited())
	b.Permits = activities.NewPermits(&fakeLessor{lease: func(int, flow.LeaseInput) (flow.Lease, error) {
		return slotsAt(2, time.Now().Add(time.Hour), time.Minute), nil
	}})
	e := newEmail("ada@example.com", "bob@example.com")
	in := b.dispatch(e)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		_, err := b.try(ctx, in)
		var failure *temporal.ApplicationError
		if !errors.As(err, &failure) || failure.NonRetryable() {
			t.Errorf("%v is not an error that is tried again", err)
		}
	})
	require.Eventually(t, func() bool {
		return b.recipients(e)["ada@example.com"].Status == email.Sending
	}, 20*time.Second, 5*time.Millisecond)
	cancel()
	group.Wait()

	for _, r := range b.recipients(e) {
		require.Equal(t, email.Queued, r.Status)
		require.Zero(t, r.Attempts)
		require.Empty(t, b.attempts(r.ID), "there was none")
	}
	require.Empty(t, b.mails())
}

// anyTurn is one that need not be waited for.
func anyTurn() activities.Turn { return activities.NewTurns(1).Of(acme, 1) }
