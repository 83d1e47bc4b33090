package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// due gives who is due at a time, and requires that it has no error.
func (b *bundle) due(dispatch uuid.UUID, at time.Time) []store.Due {
	b.t.Helper()
	due, err := b.ListDue(b.t.Context(), acme, dispatch, at, 100)
	require.NoError(b.t, err)
	return due
}

// timeless are recipients without the time at which they were last changed.
func timeless(due []store.Due) []store.Due {
	for i := range due {
		due[i].Seen = time.Time{}
	}
	return due
}

// start starts an attempt of everybody who is due now.
func (b *bundle) start(dispatch uuid.UUID) []store.Due {
	b.t.Helper()
	due := b.due(dispatch, time.Now())
	numbers, err := b.StartAttempts(b.t.Context(), acme, due, time.Now())
	require.NoError(b.t, err)
	require.Len(b.t, numbers, len(due))
	return due
}

func (b *bundle) progress(dispatch uuid.UUID) store.Progress {
	b.t.Helper()
	p, err := b.Progress(b.t.Context(), acme, dispatch, time.Now())
	require.NoError(b.t, err)
	return p
}

// sent is the outcome of an attempt that was accepted.
func sent(recipient uuid.UUID, number int) store.Outcome {
	return store.Outcome{
		RecipientID: recipient, Number: number, FinishedAt: time.Now(), Verdict: "accepted", Phase: "data", Code: 250,
		Enhanced: "2.0.0", Reply: "queued", Peer: "127.0.0.1:25", TLS: true, Status: email.Sent,
	}
}

// deferred is the outcome of an attempt that is to be repeated.
func deferred(recipient uuid.UUID, number int, next time.Time) store.Outcome {
	return store.Outcome{
		RecipientID: recipient, Number: number, FinishedAt: time.Now(), Verdict: "deferred", Phase: "rcpt", Code: 451,
		Enhanced: "4.7.1", Reply: "greylisted, come back", Status: email.Deferred, NextAttempt: next, Reason: "greylisted",
	}
}

func TestListDue(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e, foreign := newEmail(acme, "a@example.com", "b@example.com"), newEmail(other, "c@example.com")
	dispatch := b.dispatch(e)
	b.dispatch(newEmail(acme, "in-another-dispatch@example.com"))
	theirs := b.dispatch(foreign)
	want := []store.Due{
		{RecipientID: e.Recipients[0].ID, EmailID: e.ID, Address: "a@example.com"},
		{RecipientID: e.Recipients[1].ID, EmailID: e.ID, Address: "b@example.com"},
	}
	require.Equal(t, want, timeless(b.due(dispatch, time.Now())))
	first, err := b.ListDue(t.Context(), acme, dispatch, time.Now(), 1)
	require.NoError(t, err)
	require.Equal(t, want[:1], timeless(first))
	require.Empty(t, b.due(theirs, time.Now()), "another tenant's dispatch")
	require.Empty(t, b.due(id.New(), time.Now()))
}

func TestListDue_DeferredWaitsForItsTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	dispatch := b.dispatch(e)
	r := b.start(dispatch)[0]
	next := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r.RecipientID, 1, next)}))

	require.Empty(t, b.due(dispatch, next.Add(-time.Second)))
	require.Equal(t, []store.Due{{RecipientID: r.RecipientID, EmailID: e.ID, Address: "a@example.com", Attempts: 1}}, timeless(b.due(dispatch, next)))
	p := b.progress(dispatch)
	require.True(t, next.Equal(p.NextAttemptAt))
	p.NextAttemptAt = time.Time{}
	require.Equal(t, store.Progress{Deferred: 1}, p)
	now := b.recipient(e)
	require.Equal(t, email.Deferred, now.Status)
	require.True(t, next.Equal(*now.NextAttemptAt))
	require.Equal(t, "greylisted", now.Reason)
	require.Equal(t, "greylisted, come back", now.Detail)
}

func TestStartAttempts_WritesTheLedgerFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	dispatch := b.dispatch(e)
	due := b.due(dispatch, time.Now())
	numbers, err := b.StartAttempts(t.Context(), acme, due, time.Now())
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]int{due[0].RecipientID: 1}, numbers)
	require.EqualValues(t, 1, ask[int64](b,
		`SELECT count(*) FROM attempts WHERE number = 1 AND finished_at IS NULL AND recipient_id = $1`, due[0].RecipientID))
	require.Equal(t, email.Sending, b.recipient(e).Status)
	require.Equal(t, store.Progress{Queued: 1}, b.progress(dispatch))

	numbers, err = b.StartAttempts(t.Context(), acme, due, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers, "it has been taken")
	require.Equal(t, 1, b.recipient(e).Attempts)
}

// Whoever has loaded a recipient before another worker tried it would try it too early.
func TestStartAttempts_OfWhatWasSeenOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	dispatch := b.dispatch(e)
	seen := b.due(dispatch, time.Now())
	r := b.start(dispatch)[0].RecipientID
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r, 1, time.Now().Add(time.Hour))}))
	numbers, err := b.StartAttempts(t.Context(), acme, seen, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.Equal(t, email.Deferred, b.recipient(e).Status)
}

// Whoever has loaded a recipient just before a retry moved it to another dispatch leaves it
// to that one, which would take a hand-over that is under way for cut off.
func TestStartAttempts_NotOfWhatWasRetried(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	old := b.dispatch(e)
	r := b.start(old)[0].RecipientID
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r, 1, time.Now().Add(-time.Second))}))
	seen := b.due(old, time.Now())
	require.Len(t, seen, 1)
	_, _, err := b.Retry(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	numbers, err := b.StartAttempts(t.Context(), acme, seen, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.Equal(t, email.Queued, b.recipient(e).Status)
}

func TestStartAttempts_OfItsTenantOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	due := b.due(b.dispatch(newEmail(acme, "a@example.com")), time.Now())
	numbers, err := b.StartAttempts(t.Context(), other, due, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM attempts`))
}

// Two workers that work on the same recipients never hand the same one over.
func TestStartAttempts_ClaimsOnceInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	emails := make([]email.Email, 20)
	for i := range emails {
		emails[i] = newEmail(acme, "a@example.com")
	}
	due := b.due(b.dispatch(emails...), time.Now())
	require.Len(t, due, 20)
	var started atomic.Int64
	require.NoError(t, inParallel(8, func(int) error {
		numbers, err := b.StartAttempts(t.Context(), acme, due, time.Now())
		started.Add(int64(len(numbers)))
		return err
	}))
	require.EqualValues(t, 20, started.Load())
	require.EqualValues(t, 20, ask[int64](b, `SELECT count(*) FROM attempts`))
}

func TestFinishAttempts_WritesOutcomes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	good, bad := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	dispatch := b.dispatch(good, bad)
	due := b.start(dispatch)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{
		sent(due[0].RecipientID, 1),
		{
			RecipientID: due[1].RecipientID, Number: 1, FinishedAt: time.Now(), Verdict: "bounced", Code: 550, Reply: "no such user",
			Status: email.Bounced, Reason: "bad_address", NextAttempt: time.Now(),
		},
	}))
	require.Equal(t, store.Progress{Sent: 1, Bounced: 1}, b.progress(dispatch))
	require.Empty(t, b.due(dispatch, time.Now().Add(time.Hour)))
	require.Equal(t, email.Sent, b.recipient(good).Status)
	bounced := b.recipient(bad)
	require.Equal(t, email.Bounced, bounced.Status)
	require.Equal(t, "bad_address", bounced.Reason)
	require.Equal(t, "no such user", bounced.Detail)
	require.Nil(t, bounced.NextAttemptAt, "only the deferred have one")
	require.Equal(t, "accepted data 250 2.0.0 queued 127.0.0.1:25 true", ask[string](b,
		`SELECT concat_ws(' ', verdict, phase, code, enhanced, reply, peer, CASE WHEN tls THEN 'true' ELSE 'false' END)
		FROM attempts WHERE recipient_id = $1`, due[0].RecipientID))
}

// An outcome that comes twice, or late, does not undo what is known.
func TestFinishAttempts_AtMostOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := newEmail(acme, "a@example.com")
	dispatch := b.dispatch(e)
	r := b.start(dispatch)[0].RecipientID
	require.NoError(t, b.FinishAttempts(t.Context(), other, []store.Outcome{deferred(r, 1, time.Now())}))
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r, 2, time.Now())}))
	require.Equal(t, email.Sending, b.recipient(e).Status, "another tenant, and an attempt that never was")

	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 1)}))
	first := b.recipient(e)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r, 1, time.Now())}))
	require.Equal(t, first, b.recipient(e))
	require.Equal(t, email.Sent, first.Status)
	require.Equal(t, "accepted", ask[string](b, `SELECT verdict FROM attempts`))
	require.NoError(t, b.FinishAttempts(t.Context(), acme, nil))
}

// The outcome of an attempt that was taken for lost belongs to that attempt, not to the one that is under way.
func TestFinishAttempts_OfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	dispatch := b.dispatch(e)
	r := b.start(dispatch)[0].RecipientID
	b.exec(`UPDATE recipients SET status = 'queued'`)
	require.Equal(t, 1, b.start(dispatch)[0].Attempts)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 1)}))
	now := b.recipient(e)
	require.Equal(t, email.Sending, now.Status)
	require.Equal(t, 2, now.Attempts)
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM attempts WHERE number = 1 AND verdict = 'accepted'`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM attempts WHERE number = 2 AND verdict IS NULL`))
}

func TestSettleCutOff(t *testing.T) {
	t.Parallel()
	for status, want := range map[email.Status]store.Progress{email.Queued: {Queued: 1}, email.Unknown: {Unknown: 1}} {
		b := newBundle(t, acme, other)
		e := newEmail(acme, "a@example.com")
		dispatch := b.dispatch(e)
		r := b.start(dispatch)[0].RecipientID
		due := b.due(dispatch, time.Now())
		require.Equal(t, []store.Due{{RecipientID: r, EmailID: e.ID, Address: "a@example.com", Attempts: 1, CutOff: true}}, timeless(due))

		require.NoError(t, b.SettleCutOff(t.Context(), other, []uuid.UUID{r}, status, time.Now()))
		require.Equal(t, email.Sending, b.recipient(e).Status, "another tenant")
		require.NoError(t, b.SettleCutOff(t.Context(), acme, []uuid.UUID{r}, status, time.Now()))
		now := b.recipient(e)
		require.Equal(t, status, now.Status)
		require.Equal(t, "cut_off", now.Reason)
		require.NotEmpty(t, now.Detail)
		require.Equal(t, want, b.progress(dispatch))
		require.Equal(t, "unknown", ask[string](b, `SELECT verdict FROM attempts`))
		require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 1)}))
		require.Equal(t, now, b.recipient(e), "the outcome comes too late")
		require.Equal(t, status == email.Queued, len(b.due(dispatch, time.Now())) == 1)
	}
}

func TestSettleCutOff_LeavesTheOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	done, waiting := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	dispatch := b.dispatch(done)
	r := b.start(dispatch)[0].RecipientID
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 1)}))
	b.dispatch(waiting)
	require.NoError(t, b.SettleCutOff(t.Context(), acme, []uuid.UUID{r, waiting.Recipients[0].ID}, email.Unknown, time.Now()))
	require.Equal(t, email.Sent, b.recipient(done).Status)
	require.Equal(t, email.Queued, b.recipient(waiting).Status)
	require.Equal(t, "accepted", ask[string](b, `SELECT verdict FROM attempts`))
}

func TestProgress_OfEachStatus(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := newEmail(acme, "queued@x.yz", "sending@x.yz", "deferred@x.yz", "sent@x.yz", "bounced@x.yz", "failed@x.yz",
		"unknown@x.yz", "unknown@x.yz", "cancelled@x.yz", "expired@x.yz")
	dispatch := b.dispatch(e)
	b.exec(`UPDATE recipients SET status = split_part(address, '@', 1), next_attempt_at = '2026-11-24T12:00:00Z'`)
	p := b.progress(dispatch)
	require.True(t, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Equal(p.NextAttemptAt))
	p.NextAttemptAt = time.Time{}
	require.Equal(t, store.Progress{Sent: 1, Bounced: 1, Failed: 1, Cancelled: 1, Expired: 1, Unknown: 2, Deferred: 1, Queued: 2}, p)
	foreign, err := b.Progress(t.Context(), other, dispatch, time.Now())
	require.NoError(t, err)
	require.Zero(t, foreign)
}

func TestExpireRecipients(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e, lasting := newEmail(acme, "queued@x.yz", "deferred@x.yz", "sending@x.yz", "sent@x.yz"), newEmail(acme, "queued@x.yz")
	at := time.Now().Truncate(time.Microsecond)
	e.ExpiresAt = at.Add(time.Hour)
	dispatch := b.dispatch(e, lasting)
	b.exec(`UPDATE recipients SET status = split_part(address, '@', 1), next_attempt_at = $1`, at)
	for when, expired := range map[time.Time]int{at.Add(time.Hour - time.Second): 0, at.Add(time.Hour): 3} {
		n := 0
		for _, d := range b.due(dispatch, when) {
			if d.Expired {
				require.Equal(t, e.ID, d.EmailID)
				n++
			}
		}
		require.Equal(t, expired, n, "at %s", when)
	}
	var ids []uuid.UUID
	for _, r := range e.Recipients {
		ids = append(ids, r.ID)
	}
	require.NoError(t, b.ExpireRecipients(t.Context(), other, ids, at))
	require.Zero(t, b.progress(dispatch).Expired, "another tenant")
	require.NoError(t, b.ExpireRecipients(t.Context(), acme, ids, at))
	p := b.progress(dispatch)
	require.Equal(t, [3]int{2, 1, 2}, [3]int{p.Expired, p.Sent, p.Queued}, "not what is final, or under way")
}
