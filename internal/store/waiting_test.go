package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/tenant"
)

// scheduled is an email of acme for a time.
func scheduled(at time.Time) email.Email {
	e := to(1)
	e.ScheduledAt = at
	return e
}

// release gives the ids of what is released.
func (b *bundle) release(at time.Time, limit int) (ids []uuid.UUID) {
	b.t.Helper()
	released, err := b.Release(b.t.Context(), at, limit)
	require.NoError(b.t, err)
	for _, p := range released {
		ids = append(ids, p.EmailID)
	}
	return ids
}

func TestRelease_InTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	weight := 4
	b.activate(acme, tenant.Settings{Weight: &weight})
	third, first, second, never := scheduled(noon.Add(3*time.Hour)), scheduled(noon.Add(time.Hour)), scheduled(noon.Add(2*time.Hour)), to(1)
	first.Class, first.TraceParent = email.Bulk, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.acceptAll(noon, third, first, second, never)
	require.Empty(t, b.release(noon.Add(time.Hour-time.Second), 10))
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), idsOf([]email.Email{first}))
	require.NoError(t, err)
	require.Zero(t, claimed, "it is not its time")

	at := noon.Add(5 * time.Hour)
	require.Equal(t, idsOf([]email.Email{first, second}), b.release(at, 2))
	require.Equal(t, idsOf([]email.Email{third}), b.release(at, 2))
	require.Empty(t, b.release(at, 2))
	b.requireStands(first, email.Queued, time.Time{})
	stale, err := b.ListStaleEmails(t.Context(), noon.Add(time.Minute), 10)
	require.NoError(t, err)
	require.Len(t, stale, 4, "a crash after the release loses none")
	require.Contains(t, stale, intake.Pending{TenantID: acme, EmailID: first.ID, Class: email.Bulk, Weight: 4, TraceParent: first.TraceParent})
}

func TestRelease_OnceFromTwoStores(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	emails := make([]email.Email, 60)
	for i := range emails {
		emails[i] = scheduled(noon.Add(time.Duration(i) * time.Second))
	}
	b.acceptAll(noon.Add(-time.Minute), emails...)
	ledgers := []intake.Ledger{b.Store, open(t, b.url)}
	released := make(chan uuid.UUID, 10*len(emails))
	require.NoError(t, inParallel(8, func(i int) error {
		for {
			some, err := ledgers[i%2].Release(t.Context(), noon.Add(time.Hour), 7)
			if err != nil || len(some) == 0 {
				return err
			}
			for _, p := range some {
				released <- p.EmailID
			}
		}
	}))
	close(released)
	var ids []uuid.UUID
	for one := range released {
		ids = append(ids, one)
	}
	require.ElementsMatch(t, idsOf(emails), ids)
}

// Mail that waited for days must not be given up after its first deferral.
func TestRelease_BeginsThe72Hours(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	held, later := to(1), scheduled(noon.AddDate(0, 0, 5))
	b.acceptAll(noon, to(1), held, later)
	at := noon.AddDate(0, 0, 6)
	b.release(at, 10)
	letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{held, later}))
	require.NoError(t, err)
	for _, l := range letters {
		require.True(t, at.Equal(l.TriedSince))
		require.True(t, noon.Equal(l.CreatedAt), "the Date of the message")
	}
}

func TestCancel_BeforeItIsSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, other)
	b.queueing(acme, 2)
	queued, held, later := to(2), to(2), scheduled(noon.AddDate(0, 0, 2))
	b.acceptAll(noon, queued, held, later)
	for _, e := range []email.Email{held, later, queued} {
		_, err := b.Cancel(t.Context(), other, e.ID, noon)
		requireFault(t, err, fault.NotFound, "email_not_found")
		dispatch, err := b.Cancel(t.Context(), acme, e.ID, noon)
		require.NoError(t, err)
		require.Nil(t, dispatch)
		b.requireStands(e, email.Cancelled, time.Time{})
		_, err = b.Cancel(t.Context(), acme, e.ID, noon)
		requireFault(t, err, fault.Conflict, "nothing_to_cancel")
	}
	require.Empty(t, b.reserved(acme), "each day is given back, once")
	require.Empty(t, b.release(noon.AddDate(1, 0, 0), 10))
	stale, err := b.ListStaleEmails(t.Context(), time.Now().AddDate(1, 0, 0), 10)
	require.NoError(t, err)
	require.Empty(t, stale)
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), idsOf([]email.Email{queued, held, later}))
	require.NoError(t, err)
	require.Zero(t, claimed)
}

// The room that it leaves on its day is given to the next.
func TestCancel_LeavesRoomOnItsDay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 2)
	first, second, third := to(2), to(2), to(2)
	b.acceptAll(noon, to(2), first, second)
	_, err := b.Cancel(t.Context(), acme, first.ID, noon)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"2026-11-24": 2, "2026-11-26": 2}, b.reserved(acme))
	b.acceptAll(noon, third)
	b.requireStands(third, email.Held, midnight(1))
	b.requireStands(second, email.Held, midnight(2))
}

// What was tried is used up; what is under way can not be called back.
func TestCancel_PartOfAnEmail(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "queued@x.yz", "deferred@x.yz", "sending@x.yz", "sent@x.yz", "bounced@x.yz")
	dispatch := b.dispatch(e)
	b.exec(`UPDATE recipients SET status = split_part(address, '@', 1), attempts = CASE WHEN address = 'queued@x.yz' THEN 0 ELSE 1 END`)
	got, err := b.Cancel(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	require.Equal(t, &dispatch, got)
	record, err := b.Email(t.Context(), acme, e.ID)
	require.NoError(t, err)
	var statuses []email.Status
	for _, r := range record.Recipients {
		statuses = append(statuses, r.Status)
		require.Nil(t, r.NextAttemptAt)
	}
	require.Equal(t, []email.Status{email.Cancelled, email.Cancelled, email.Sending, email.Sent, email.Bounced}, statuses)
	require.Equal(t, map[string]int{today(): 4}, b.reserved(acme))
	require.Len(t, b.due(dispatch, time.Now()), 1, "the one that is under way")
}

// The day is over: to give it back would change what was.
func TestCancel_OfADayThatIsOver(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := to(2)
	b.acceptAll(noon, e)
	_, err := b.Cancel(t.Context(), acme, e.ID, noon.AddDate(0, 0, 3))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"2026-11-24": 2}, b.reserved(acme))
}

func TestReschedule(t *testing.T) {
	t.Parallel()
	b := newBundle(t, other)
	b.queueing(acme, 2)
	e, held := scheduled(noon.AddDate(0, 0, 1)), to(2)
	b.acceptAll(noon, e, to(1), held)
	b.requireStands(held, email.Held, midnight(2))
	requireFault(t, b.Reschedule(t.Context(), other, e.ID, noon.AddDate(0, 0, 3), noon), fault.NotFound, "email_not_found")

	require.NoError(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 3), noon))
	b.requireStands(e, email.Scheduled, noon.AddDate(0, 0, 3))
	require.NoError(t, b.Reschedule(t.Context(), acme, held.ID, noon.AddDate(0, 0, 4), noon))
	b.requireStands(held, email.Scheduled, noon.AddDate(0, 0, 4))
	story, err := b.Story(t.Context(), acme, held.ID)
	require.NoError(t, err)
	require.False(t, story.Held, "it waits for its time now")
	require.Equal(t, map[string]int{"2026-11-24": 1, "2026-11-27": 1, "2026-11-28": 2}, b.reserved(acme))

	require.NoError(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 4).Add(time.Hour), noon)) // a day that is full
	b.requireStands(e, email.Held, midnight(5))
	story, err = b.Story(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.True(t, story.Held)
	require.NoError(t, b.Reschedule(t.Context(), acme, e.ID, noon.Add(-time.Hour), noon)) // a time in the past means now
	require.Equal(t, []uuid.UUID{e.ID}, b.release(noon, 10))
	require.Equal(t, map[string]int{"2026-11-24": 2, "2026-11-28": 2}, b.reserved(acme))
	requireFault(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 1), noon), fault.Conflict, "email_not_scheduled")
}

// To stay on its own day it needs no second room there.
func TestReschedule_OnAFullDay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 1
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	e, full := scheduled(noon.AddDate(0, 0, 1)), scheduled(noon.AddDate(0, 0, 2))
	b.acceptAll(noon, e, full)
	require.NoError(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 1).Add(time.Hour), noon))
	requireFault(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 2), noon), fault.Exhausted, "daily_limit_reached")
	b.requireStands(e, email.Scheduled, noon.AddDate(0, 0, 1).Add(time.Hour))
	require.Equal(t, map[string]int{"2026-11-25": 1, "2026-11-26": 1}, b.reserved(acme))

	_, err := b.Cancel(t.Context(), acme, e.ID, noon)
	require.NoError(t, err)
	requireFault(t, b.Reschedule(t.Context(), acme, e.ID, noon.AddDate(0, 0, 3), noon), fault.Conflict, "email_not_scheduled")
}
