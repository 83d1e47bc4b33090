package intake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
)

func staleDispatches(tenants ...string) []email.Dispatch {
	all := make([]email.Dispatch, len(tenants))
	for i, tenantID := range tenants {
		all[i] = email.Dispatch{TenantID: tenantID, ID: id.New(), Weight: 2, Emails: 7}
	}
	return all
}

func TestSweepOnce_TakesUpWhatWasLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stale, emails := staleDispatches("one", "two"), append(pending("two", 2), pending("three", 1)...)
		before := time.Now()
		ledger := &fakeLedger{
			dispatches: func(at time.Time) ([]email.Dispatch, error) {
				require.Equal(t, before, at)
				return stale, nil
			},
			emails: func(at time.Time) ([]intake.Pending, error) {
				require.Equal(t, before, at)
				return emails, nil
			},
		}
		var starter fakeStarter
		d := newDispatcher(t, ledger, &starter, 1)
		require.NoError(t, d.SweepOnce(t.Context(), before))
		synctest.Wait()

		started := starter.started()
		require.Equal(t, stale, started[:2], "under the ids that they have")
		tenants, sizes := ledger.sizes()
		require.Equal(t, []string{"two", "three"}, tenants)
		require.Equal(t, []int{2, 1}, sizes)
		require.Len(t, ledger.runs, 4)
		for _, s := range started {
			require.Contains(t, ledger.runs, s.ID)
		}
	})
}

// What is in a queue here is on its way; to claim it a second time would only be work.
func TestSweepOnce_LeavesWhatIsInAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waiting, left := pending("waiting", 2), pending("left", 1)
		ledger := &fakeLedger{emails: func(time.Time) ([]intake.Pending, error) { return append(waiting[:2:2], left...), nil }}
		d, release := busy(t, ledger)
		d.Add(waiting)
		require.NoError(t, d.SweepOnce(t.Context(), time.Now()))
		release()
		synctest.Wait()
		tenants, sizes := ledger.sizes()
		require.Equal(t, []string{"first", "waiting", "left"}, tenants)
		require.Equal(t, []int{1, 2, 1}, sizes)
	})
}

// A queue of the other class comes to none of these.
func TestSweepOnce_ClassesAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waiting, left := bulk(pending(acme, 1)), pending(acme, 1)
		ledger := &fakeLedger{emails: func(time.Time) ([]intake.Pending, error) { return append(waiting[:1:1], left...), nil }}
		d, release := busy(t, ledger)
		d.Add(waiting)
		require.NoError(t, d.SweepOnce(t.Context(), time.Now()))
		release()
		synctest.Wait()
		claims := ledger.claimed()
		require.Len(t, claims, 3)
		require.Equal(t, claimCall{acme, email.Bulk, claims[1].dispatch, pendingIDs(waiting)}, claims[1])
		require.Equal(t, claimCall{acme, email.Transactional, claims[2].dispatch, pendingIDs(left)}, claims[2])
	})
}

func TestSweepOnce_StopsWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &fakeLedger{
			dispatches: func(time.Time) ([]email.Dispatch, error) { return staleDispatches("one", "two"), nil },
			emails:     func(time.Time) ([]intake.Pending, error) { return pending(acme, 1), nil },
		}
		starter := &fakeStarter{start: func(context.Context, int) error { return errAway }}
		d := newDispatcher(t, ledger, starter, 1)
		require.ErrorIs(t, d.SweepOnce(t.Context(), time.Now()), errAway)
		synctest.Wait()
		require.Len(t, starter.started(), 1)
		require.Empty(t, ledger.claimed())
		require.Empty(t, ledger.runs)
	})
}

func TestSweepOnce_OneThatCanNotBeStartedLeavesTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stale := staleDispatches("one", "two")
		ledger := &fakeLedger{
			dispatches: func(time.Time) ([]email.Dispatch, error) { return stale, nil },
			emails:     func(time.Time) ([]intake.Pending, error) { return pending("three", 1), nil },
		}
		starter := &fakeStarter{start: func(_ context.Context, call int) error {
			if call == 0 {
				return errors.New("broken")
			}
			return nil
		}}
		d := newDispatcher(t, ledger, starter, 1)
		require.NoError(t, d.SweepOnce(t.Context(), time.Now()))
		synctest.Wait()
		require.Len(t, starter.started(), 3)
		require.NotContains(t, ledger.runs, stale[0].ID)
		require.Contains(t, ledger.runs, stale[1].ID)
	})
}

func TestSweepOnce_ErrorsOfTheDatabase(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for what, ledger := range map[string]*fakeLedger{
		"dispatches": {dispatches: func(time.Time) ([]email.Dispatch, error) { return nil, broken }},
		"emails":     {emails: func(time.Time) ([]intake.Pending, error) { return nil, broken }},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDispatcher(t, ledger, &fakeStarter{}, 1)
			require.ErrorIs(t, d.SweepOnce(t.Context(), time.Now()), broken, what)
		})
	}
}

func TestSweep_AtOnceAndAgainUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var sweeps, ages []time.Duration
		left := pending(acme, 1)
		ledger := &fakeLedger{
			dispatches: func(before time.Time) ([]email.Dispatch, error) {
				sweeps, ages = append(sweeps, time.Since(start)), append(ages, time.Since(before))
				if len(sweeps) == 1 {
					return nil, errors.New("broken") // the next one may work
				}
				return nil, nil
			},
			emails: func(time.Time) ([]intake.Pending, error) { return left, nil },
		}
		d := newDispatcher(t, ledger, &fakeStarter{}, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		d.Sweep(ctx)
		require.Equal(t, 25*time.Second, time.Since(start), "it ends with the context")
		require.Equal(t, []time.Duration{0, 10 * time.Second, 20 * time.Second}, sweeps)
		require.Equal(t, []time.Duration{10 * time.Second, 10 * time.Second, 10 * time.Second}, ages, "younger ones are on their way")
		synctest.Wait()
		require.Equal(t, []uuid.UUID{left[0].EmailID}, ledger.claimed()[0].emails)
	})
}

// Dispatches are looked after some at a time, and over again; the emails of one whose
// workflow is gone are dispatched anew.
func TestSweepOrphans(t *testing.T) {
	t.Parallel()
	ledger := &fakeLedger{}
	for range 120 {
		ledger.carried = append(ledger.carried, staleDispatches("one")...)
	}
	gone, asked := map[uuid.UUID]bool{ledger.carried[3].ID: true, ledger.carried[119].ID: true}, 0
	d := newDispatcher(t, ledger, &fakeStarter{carries: func(d email.Dispatch) (bool, error) {
		asked++
		return !gone[d.ID], nil
	}}, 1)
	var after uuid.UUID
	for range 3 {
		next, err := d.SweepOrphans(t.Context(), after, time.Now())
		require.NoError(t, err)
		require.NotEqual(t, after, next)
		after = next
	}
	require.Equal(t, uuid.Nil, after, "from the beginning again")
	require.Equal(t, 120, asked)
	require.Equal(t, []uuid.UUID{ledger.carried[3].ID, ledger.carried[119].ID}, ledger.abandoned)
}

func TestSweepOrphans_WhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	ledger := &fakeLedger{carried: staleDispatches("one", "two")}
	d := newDispatcher(t, ledger, &fakeStarter{carries: func(email.Dispatch) (bool, error) { return false, errAway }}, 1)
	after, err := d.SweepOrphans(t.Context(), uuid.Nil, time.Now())
	require.ErrorIs(t, err, errAway)
	require.Equal(t, uuid.Nil, after)
	require.Empty(t, ledger.abandoned, "nobody knows whether they are gone")
}
