package intake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// busy is a Dispatcher with one slot, which starts the workflow of an email of tenant "first" until it is released.
func busy(t *testing.T, l *fakeLedger) (d *intake.Dispatcher, release func()) {
	t.Helper()
	wait := make(chan struct{})
	release = sync.OnceFunc(func() { close(wait) })
	d = newDispatcher(t, l, &fakeStarter{start: func(_ context.Context, call int) error {
		if call == 0 {
			<-wait
		}
		return nil
	}}, 1)
	t.Cleanup(release)
	d.Add(pending("first", 1))
	synctest.Wait()
	return d, release
}

func TestDispatcher_OneEmailWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		var tenantID, traceID string
		starter := fakeStarter{start: func(ctx context.Context, _ int) error {
			tenantID, traceID = telemetry.Tenant(ctx), trace.SpanContextFromContext(ctx).TraceID().String()
			return nil
		}}
		d := newDispatcher(t, &ledger, &starter, 2)
		one := intake.Pending{
			TenantID: acme, EmailID: id.New(), Class: email.Bulk, Weight: 3, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}
		d.Add([]intake.Pending{one})
		synctest.Wait()
		claims := ledger.claimed()
		require.Len(t, claims, 1)
		require.Equal(t, claimCall{acme, email.Bulk, claims[0].dispatch, []uuid.UUID{one.EmailID}}, claims[0])
		require.Equal(t, []email.Dispatch{{TenantID: acme, ID: claims[0].dispatch, Class: email.Bulk, Weight: 3, Emails: 1}}, starter.started())
		require.Equal(t, map[uuid.UUID]string{claims[0].dispatch: "run of " + claims[0].dispatch.String()}, ledger.runs)
		require.Equal(t, acme, tenantID)
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", traceID)
	})
}

func TestDispatcher_ManyWhileTheSlotsAreBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		emails := pending(acme, 3)
		for i := range emails {
			d.Add(emails[i : i+1])
		}
		synctest.Wait()
		require.Len(t, ledger.claimed(), 1)
		release()
		synctest.Wait()
		claims := ledger.claimed()
		require.Len(t, claims, 2)
		require.Equal(t, pendingIDs(emails), claims[1].emails)
	})
}

func TestDispatcher_LongestWaitingFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		for _, tenantID := range []string{"c", "a", "c", "b", "first"} {
			d.Add(pending(tenantID, 1))
		}
		release()
		time.Sleep(time.Second) // of the test's own clock: the first one rests
		tenants, sizes := ledger.sizes()
		require.Equal(t, []string{"first", "c", "a", "b", "first"}, tenants)
		require.Equal(t, []int{1, 2, 1, 1, 1}, sizes)
	})
}

// A lone email goes at once; what follows closely gathers for one dispatch, and other
// tenants do not wait for that.
func TestDispatcher_GathersWhatFollowsClosely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d := newDispatcher(t, &ledger, &fakeStarter{}, 1)
		for _, tenantID := range []string{"a", "a", "b", "a"} {
			d.Add(pending(tenantID, 1))
			synctest.Wait()
		}
		tenants, _ := ledger.sizes()
		require.Equal(t, []string{"a", "b"}, tenants)
		time.Sleep(time.Second) // of the test's own clock
		tenants, sizes := ledger.sizes()
		require.Equal(t, []string{"a", "b", "a"}, tenants)
		require.Equal(t, []int{1, 1, 2}, sizes)
		d.Add(pending("a", 1))
		synctest.Wait()
		_, sizes = ledger.sizes()
		require.Equal(t, []int{1, 1, 2, 1}, sizes, "it has rested")
	})
}

// What one tenant has beyond a dispatch waits behind the others.
func TestDispatcher_AtMost500InADispatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		flood := pending("flood", 1200)
		d.Add(flood)
		d.Add(pending("small", 1))
		release()
		synctest.Wait()
		tenants, sizes := ledger.sizes()
		require.Equal(t, []string{"first", "flood", "small", "flood", "flood"}, tenants)
		require.Equal(t, []int{1, 500, 1, 500, 200}, sizes)
		claims := ledger.claimed()
		require.Equal(t, pendingIDs(flood), append(append(claims[1].emails, claims[3].emails...), claims[4].emails...), "each once, in order")
	})
}

// What one tenant has beyond a dispatch goes to the next free slot; it does not wait for the one that took the rest.
func TestDispatcher_FreeSlotsShareAFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		starter := fakeStarter{start: func(context.Context, int) error {
			<-release
			return nil
		}}
		d := newDispatcher(t, &fakeLedger{}, &starter, 3)
		synctest.Wait() // until all slots are idle
		d.Add(pending("flood", 1100))
		synctest.Wait()
		require.Len(t, starter.started(), 3)
	})
}

func TestDispatcher_StartsWhatItClaimed(t *testing.T) {
	t.Parallel()
	for claimed, want := range map[int]int{0: 0, 2: 1} {
		synctest.Test(t, func(t *testing.T) {
			ledger := fakeLedger{claim: func(int, []uuid.UUID) (int, error) { return claimed, nil }}
			var starter fakeStarter
			d := newDispatcher(t, &ledger, &starter, 1)
			d.Add(pending(acme, 3))
			synctest.Wait()
			require.Len(t, starter.started(), want)
			for _, s := range starter.started() {
				require.Equal(t, claimed, s.Emails)
			}
			require.Len(t, ledger.runs, want)
		})
	}
}

// While Temporal is away emails gather, so that one dispatch carries many when it is back.
func TestDispatcher_PausesWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		starter := fakeStarter{start: func(_ context.Context, call int) error {
			if call == 0 {
				return errAway
			}
			return nil
		}}
		d := newDispatcher(t, &ledger, &starter, 1)
		d.Add(pending(acme, 1))
		synctest.Wait()
		start := time.Now()
		require.Empty(t, ledger.runs, "the dispatch is left to the sweep")
		for range 3 {
			d.Add(pending(acme, 1))
			synctest.Wait()
		}
		require.Len(t, ledger.claimed(), 1)
		time.Sleep(2 * time.Second) // of the bubble's clock
		synctest.Wait()
		_, sizes := ledger.sizes()
		require.Equal(t, []int{1, 3}, sizes)
		require.Len(t, ledger.runs, 1)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

// While the database is away emails wait here, and need no sweep when it is back.
func TestDispatcher_PutsBackWhatItCouldNotClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := fakeLedger{claim: func(call int, emails []uuid.UUID) (int, error) {
			if call == 0 {
				return 0, errAway
			}
			return len(emails), nil
		}}
		var starter fakeStarter
		d := newDispatcher(t, &ledger, &starter, 1)
		emails := pending(acme, 3)
		d.Add(emails)
		synctest.Wait()
		require.Empty(t, starter.started())
		time.Sleep(2 * time.Second) // of the bubble's clock
		synctest.Wait()
		require.Len(t, starter.started(), 1)
		require.Equal(t, pendingIDs(emails), ledger.claimed()[1].emails)
	})
}

func TestDispatcher_GoesOnAfterErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for what, ledger := range map[string]*fakeLedger{
		"claim": {claim: func(call int, emails []uuid.UUID) (int, error) {
			if call == 0 {
				return 0, broken
			}
			return len(emails), nil
		}},
		"run": {setRun: func(uuid.UUID) error { return broken }},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDispatcher(t, ledger, &fakeStarter{}, 1)
			d.Add(pending("one", 1))
			d.Add(pending("two", 1))
			synctest.Wait() // without a pause
			tenants, _ := ledger.sizes()
			require.Equal(t, []string{"one", "two"}, tenants, what)
		})
	}
}

func TestDispatcher_StartTakesBoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		starter := fakeStarter{start: func(ctx context.Context, call int) error {
			if call == 0 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		d := newDispatcher(t, &ledger, &starter, 1)
		d.Add(pending("one", 1))
		d.Add(pending("two", 1))
		synctest.Wait()
		require.Len(t, starter.started(), 1)
		time.Sleep(10 * time.Second) // of the bubble's clock
		synctest.Wait()
		require.Len(t, starter.started(), 2)
	})
}

func TestDispatcher_CloseFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		d.Add(pending(acme, 1))
		closed := make(chan struct{})
		go func() {
			d.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			require.Fail(t, "closed while a start is under way")
		default:
		}
		release()
		<-closed
		require.Len(t, ledger.runs, 1)
		require.Len(t, ledger.claimed(), 1, "what is pending is left to a sweep")
		d.Close()
	})
}

func TestDispatcher_CloseEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher(t, &fakeLedger{}, &fakeStarter{start: func(context.Context, int) error { return errAway }}, 1)
		d.Add(pending(acme, 1))
		synctest.Wait()
		start := time.Now()
		d.Close()
		require.Zero(t, time.Since(start))
	})
}

// Memory is bounded while Temporal is away; a sweep finds what is beyond.
func TestDispatcher_RemembersSoMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		d, release := busy(t, &ledger)
		flood := make([]intake.Pending, 200_001)
		for i := range flood {
			flood[i] = intake.Pending{TenantID: "flood", Weight: 1}
		}
		d.Add(flood)
		release()
		synctest.Wait()
		_, sizes := ledger.sizes()
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		require.Equal(t, 200_001, sum, "the first, and 200 000 of the flood")
	})
}
