package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestClaimDispatch_EachEmailOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, second := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	one := b.dispatch(first)
	b.accept(second)
	two := id.New()
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, two, []uuid.UUID{first.ID, second.ID, id.New()})
	require.NoError(t, err)
	require.Equal(t, 1, claimed)
	for e, want := range map[uuid.UUID]uuid.UUID{first.ID: one, second.ID: two} {
		got, err := b.Email(t.Context(), acme, e)
		require.NoError(t, err)
		require.Equal(t, want, *got.DispatchID)
	}
	claimed, err = b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), []uuid.UUID{first.ID, second.ID})
	require.NoError(t, err)
	require.Zero(t, claimed)
	require.EqualValues(t, 2, ask[int64](b, `SELECT count(*) FROM dispatches`), "no dispatch of nothing")
	require.EqualValues(t, 1, ask[int64](b, `SELECT emails FROM dispatches WHERE id = $1`, two))
}

// Several processes sweep, and find the same emails.
func TestClaimDispatch_InParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	emails := make([]email.Email, 50)
	for i := range emails {
		emails[i] = newEmail(acme, "ada@example.com")
	}
	b.accept(emails...)
	ids := idsOf(emails)
	var claimed atomic.Int64
	require.NoError(t, inParallel(10, func(i int) error {
		n, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), ids[i:i+40])
		claimed.Add(int64(n))
		return err
	}))
	require.EqualValues(t, 49, claimed.Load(), "the last of them was in no claim")
	require.EqualValues(t, 49, ask[int64](b, `SELECT count(*) FROM emails e JOIN dispatches d ON d.id = e.dispatch_id`))
	require.EqualValues(t, 49, ask[int64](b, `SELECT sum(emails) FROM dispatches`))
}

func TestClaimDispatch_OfItsTenantOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	mine, theirs := newEmail(acme, "a@example.com"), newEmail(other, "b@example.com")
	b.accept(mine, theirs)
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), []uuid.UUID{mine.ID, theirs.ID})
	require.NoError(t, err)
	require.Equal(t, 1, claimed)
	got, err := b.Email(t.Context(), other, theirs.ID)
	require.NoError(t, err)
	require.Nil(t, got.DispatchID)
}

func TestListStaleEmails(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	weight := 3
	b.activate("heavy", tenant.Settings{Weight: &weight})
	b.activate("leaving", tenant.Settings{})
	start := time.Now()
	first, second := newEmail("heavy", "a@example.com"), newEmail(acme, "b@example.com")
	claimed, gone := newEmail(acme, "c@example.com"), newEmail("leaving", "d@example.com")
	first.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.dispatch(claimed)
	_, err := acceptAt(t.Context(), b.Store, start, []email.Email{second, first, gone})
	require.NoError(t, err)
	_, err = b.BeginDeletion(t.Context(), "leaving", nil)
	require.NoError(t, err)

	stale, err := b.ListStaleEmails(t.Context(), start.Add(-time.Second), 10)
	require.NoError(t, err)
	require.Empty(t, stale, "they have just come")
	want := []intake.Pending{
		{TenantID: "heavy", EmailID: first.ID, Class: email.Transactional, Weight: 3, TraceParent: first.TraceParent},
		{TenantID: acme, EmailID: second.ID, Class: email.Transactional, Weight: 1},
	}
	stale, err = b.ListStaleEmails(t.Context(), start.Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, want, stale, "oldest first")
	stale, err = b.ListStaleEmails(t.Context(), start.Add(time.Second), 1)
	require.NoError(t, err)
	require.Equal(t, want[:1], stale)
}

func TestListStaleDispatches(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	weight := 3
	b.activate("heavy", tenant.Settings{Weight: &weight})
	b.activate("leaving", tenant.Settings{})
	older := b.dispatch(newEmail("heavy", "a@example.com"), newEmail("heavy", "b@example.com"))
	newer, started := b.dispatch(newEmail(acme, "c@example.com")), b.dispatch(newEmail(acme, "d@example.com"))
	b.dispatch(newEmail("leaving", "e@example.com"))
	_, err := b.BeginDeletion(t.Context(), "leaving", nil)
	require.NoError(t, err)
	require.NoError(t, b.SetDispatchRun(t.Context(), acme, started, "run"))

	stale, err := b.ListStaleDispatches(t.Context(), time.Now().Add(-time.Minute), 10)
	require.NoError(t, err)
	require.Empty(t, stale)
	want := []email.Dispatch{
		{TenantID: "heavy", ID: older, Class: email.Transactional, Weight: 3, Emails: 2},
		{TenantID: acme, ID: newer, Class: email.Transactional, Weight: 1, Emails: 1},
	}
	stale, err = b.ListStaleDispatches(t.Context(), time.Now().Add(time.Minute), 10)
	require.NoError(t, err)
	require.Equal(t, want, stale, "oldest first")
	stale, err = b.ListStaleDispatches(t.Context(), time.Now().Add(time.Minute), 1)
	require.NoError(t, err)
	require.Equal(t, want[:1], stale)
}

func TestSetDispatchRun_OfItsTenantOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	dispatch := b.dispatch(newEmail(acme, "a@example.com"))
	require.NoError(t, b.SetDispatchRun(t.Context(), other, dispatch, "foreign"))
	require.Nil(t, ask[*string](b, `SELECT run_id FROM dispatches`))
	for range 2 {
		require.NoError(t, b.SetDispatchRun(t.Context(), acme, dispatch, "run"))
		require.Equal(t, "run", ask[string](b, `SELECT run_id FROM dispatches`))
	}
}

// What is not finished is open, also where the start of its workflow is not known yet, and only the tenant's own; pages
// go on after an id.
func TestListOpenDispatches(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	var open []uuid.UUID
	for range 4 {
		dispatch := b.dispatch(newEmail(acme, "ada@example.com"))
		require.NoError(t, b.SetDispatchRun(t.Context(), acme, dispatch, "run"))
		open = append(open, dispatch)
	}
	open = append(open, b.dispatch(newEmail(acme, "ada@example.com"))) // not known to have started
	theirs := b.dispatch(newEmail(other, "ada@example.com"))
	require.NoError(t, b.SetDispatchRun(t.Context(), other, theirs, "run"))
	b.exec(`UPDATE dispatches SET finished_at = now() WHERE id = $1`, open[1])

	list := func(after uuid.UUID, limit int) []uuid.UUID {
		ids, err := b.ListOpenDispatches(t.Context(), acme, after, limit)
		require.NoError(t, err)
		return ids
	}
	require.Equal(t, []uuid.UUID{open[0], open[2]}, list(uuid.Nil, 2))
	require.Equal(t, []uuid.UUID{open[3], open[4]}, list(open[2], 2))
	require.Empty(t, list(open[4], 2))
}

// What a dispatch whose workflow is gone has left open is dispatched anew, and nothing else.
func TestAbandonDispatch(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	done, open := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	dispatch := b.dispatch(done, open)
	require.NoError(t, b.SetDispatchRun(t.Context(), acme, dispatch, "run"))
	due := b.start(dispatch)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(due[0].RecipientID, 1)}))
	now := time.Now().Add(time.Minute)
	carried, err := b.ListCarriedDispatches(t.Context(), now, uuid.Nil, 10)
	require.NoError(t, err)
	require.Equal(t, []email.Dispatch{{TenantID: acme, ID: dispatch}}, carried)

	freed, err := b.AbandonDispatch(t.Context(), acme, dispatch, now)
	require.NoError(t, err)
	require.Zero(t, freed, "a hand-over may be under way")
	later := now.Add(time.Hour)
	freed, err = b.AbandonDispatch(t.Context(), other, dispatch, later)
	require.NoError(t, err)
	require.Zero(t, freed, "another tenant's")
	freed, err = b.AbandonDispatch(t.Context(), acme, dispatch, later)
	require.NoError(t, err)
	require.Equal(t, 1, freed)
	stale, err := b.ListStaleEmails(t.Context(), later, 10)
	require.NoError(t, err)
	require.Len(t, stale, 1)
	require.Equal(t, open.ID, stale[0].EmailID)
	carried, err = b.ListCarriedDispatches(t.Context(), later, uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, carried)
}

// A Deliver that its workflow's end has left behind, and that has loaded recipients before the
// dispatch was abandoned, leaves them to the new one.
func TestAbandonDispatch_LeavesNothingToWhoHasLoadedIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	queued, tried := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	dispatch := b.dispatch(queued, tried)
	due := b.start(dispatch)
	outcome := deferred(due[1].RecipientID, 1, time.Now().Add(-time.Second))
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{outcome}))
	b.exec(`UPDATE recipients SET status = 'queued' WHERE id = $1`, due[0].RecipientID)
	seen := b.due(dispatch, time.Now())
	require.Len(t, seen, 2)

	freed, err := b.AbandonDispatch(t.Context(), acme, dispatch, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, freed)
	numbers, err := b.StartAttempts(t.Context(), acme, seen, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers)
}
