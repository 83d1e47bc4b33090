package intake_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/intake"
)

func TestDispatcher_ClassesAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		var starter fakeStarter
		d := newDispatcher(t, &ledger, &starter, 1)
		newsletter, receipt := bulk(pending(acme, 3)), pending(acme, 1)
		d.Add(append(slices.Clone(newsletter), receipt...))
		synctest.Wait()
		claims := ledger.claimed()
		require.Len(t, claims, 2)
		require.Equal(t, claimCall{acme, email.Bulk, claims[0].dispatch, pendingIDs(newsletter)}, claims[0])
		require.Equal(t, claimCall{acme, email.Transactional, claims[1].dispatch, pendingIDs(receipt)}, claims[1])
		require.Equal(t, []email.Dispatch{
			{TenantID: acme, ID: claims[0].dispatch, Class: email.Bulk, Weight: 1, Emails: 3},
			{TenantID: acme, ID: claims[1].dispatch, Class: email.Transactional, Weight: 1, Emails: 1},
		}, starter.started())
	})
}

// A flood of bulk mail waits behind a single one of the other class once it has had its turn.
func TestDispatcher_BulkDoesNotHoldUpTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		d.Add(bulk(pending(acme, 1200)))
		d.Add(pending(acme, 1))
		release()
		synctest.Wait()
		_, sizes := ledger.sizes()
		require.Equal(t, []int{1, 500, 1, 500, 200}, sizes)
	})
}

func TestReleaseDue_TakesAllThatIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		all := pending(acme, 2300)
		left := all
		ledger := &fakeLedger{release: func(at time.Time, limit int) ([]intake.Pending, error) {
			require.Equal(t, now, at)
			n := min(limit, len(left))
			some := left[:n]
			left = left[n:]
			return some, nil
		}}
		d := newDispatcher(t, ledger, &fakeStarter{}, 1)
		require.NoError(t, d.ReleaseDue(t.Context(), now))
		synctest.Wait()
		require.Empty(t, left)
		var dispatched []intake.Pending
		for _, c := range ledger.claimed() {
			for _, emailID := range c.emails {
				dispatched = append(dispatched, intake.Pending{TenantID: acme, EmailID: emailID, Class: c.class, Weight: 1})
			}
		}
		require.Equal(t, all, dispatched, "in order")
	})
}

func TestReleaseDue_ErrorOfTheDatabase(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		ledger := &fakeLedger{release: func(time.Time, int) ([]intake.Pending, error) { return nil, broken }}
		require.ErrorIs(t, newDispatcher(t, ledger, &fakeStarter{}, 1).ReleaseDue(t.Context(), time.Now()), broken)
	})
}

func TestRelease_EverySecondUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		one := pending(acme, 1)
		ledger := &fakeLedger{release: func(now time.Time, _ int) ([]intake.Pending, error) {
			require.Equal(t, time.Now(), now)
			switch at = append(at, now.Sub(start)); len(at) {
			case 1:
				return nil, errors.New("broken") // the next one may work
			case 2:
				return one, nil
			}
			return nil, nil
		}}
		d := newDispatcher(t, ledger, &fakeStarter{}, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		d.Release(ctx)
		require.Equal(t, 2500*time.Millisecond, time.Since(start), "it ends with the context")
		require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, at)
		synctest.Wait()
		require.Equal(t, pendingIDs(one), ledger.claimed()[0].emails)
	})
}
