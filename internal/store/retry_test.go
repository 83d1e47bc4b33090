package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
)

func TestRetry_MovesToAnotherDispatch(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e, beside := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	e.Class, e.TraceParent = email.Bulk, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	old := b.dispatch(e, beside)
	for _, r := range b.start(old) {
		require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r.RecipientID, 1, time.Now().Add(time.Hour))}))
	}
	_, _, err := b.Retry(t.Context(), other, e.ID, time.Now())
	requireFault(t, err, fault.NotFound, "email_not_found")

	at := time.Now().Add(time.Minute).Truncate(time.Microsecond)
	pending, before, err := b.Retry(t.Context(), acme, e.ID, at)
	require.NoError(t, err)
	require.Equal(t, &old, before)
	require.Equal(t, intake.Pending{TenantID: acme, EmailID: e.ID, Class: email.Bulk, Weight: 1, TraceParent: e.TraceParent}, pending)
	b.requireStands(e, email.Queued, time.Time{})
	require.Empty(t, b.due(old, time.Now()), "the old dispatch leaves it alone")
	require.Equal(t, 1, b.progress(old).Deferred, "and keeps the other")
	require.Zero(t, b.progress(old).Queued)

	dispatch := id.New()
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Bulk, dispatch, idsOf([]email.Email{e, beside}))
	require.NoError(t, err)
	require.Equal(t, 1, claimed)
	due := b.due(dispatch, time.Now())
	require.Len(t, due, 1)
	require.Equal(t, 1, due[0].Attempts, "the ledger goes on")
	letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{e}))
	require.NoError(t, err)
	require.True(t, at.Equal(letters[e.ID].TriedSince), "a fresh 72 hours")
	require.Equal(t, map[string]int{today(): 2}, b.reserved(acme), "its recipients count once")
}

// A crash between the retry and its dispatch loses nothing.
func TestRetry_IsFoundBySweeps(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "a@example.com")
	b.dispatch(e)
	b.exec(`UPDATE recipients SET status = 'failed'`)
	_, _, err := b.Retry(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	stale, err := b.ListStaleEmails(t.Context(), time.Now().Add(time.Minute), 10)
	require.NoError(t, err)
	require.Len(t, stale, 1)
}

func TestRetry_OfEachStatus(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for status, retried := range map[email.Status]bool{
		email.Scheduled: false, email.Held: false, email.Queued: false, email.Sending: false, email.Sent: false, email.Bounced: false,
		email.Cancelled: false, email.Deferred: true, email.Failed: true, email.Expired: true, email.Unknown: true,
	} {
		alone, mixed := newEmail(acme, "a@example.com"), newEmail(acme, "a@example.com", "sent@example.com")
		b.dispatch(alone, mixed)
		b.exec(`UPDATE recipients SET status = CASE WHEN address = 'sent@example.com' THEN 'sent' ELSE $2 END WHERE email_id = ANY($1)`,
			idsOf([]email.Email{alone, mixed}), string(status))
		for _, e := range []email.Email{alone, mixed} {
			_, _, err := b.Retry(t.Context(), acme, e.ID, time.Now())
			record, get := b.Email(t.Context(), acme, e.ID)
			require.NoError(t, get)
			if !retried {
				requireFault(t, err, fault.Conflict, "nothing_to_retry")
				require.Equal(t, status, record.Recipients[0].Status)
				require.NotNil(t, record.DispatchID, status)
				continue
			}
			require.NoError(t, err, status)
			require.Equal(t, email.Queued, record.Recipients[0].Status)
			require.Nil(t, record.DispatchID, status)
		}
		require.Equal(t, email.Sent, ask[email.Status](b, `SELECT status FROM recipients WHERE id = $1`, mixed.Recipients[1].ID))
	}
}

// Who has an email tried again that came too late wants it sent all the same.
func TestRetry_AfterItsExpiry(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now().Truncate(time.Microsecond)
	for expires, kept := range map[time.Time]bool{now.Add(-time.Minute): false, now.Add(time.Hour): true} {
		e := newEmail(acme, "a@example.com")
		e.ExpiresAt = expires
		b.dispatch(e)
		b.exec(`UPDATE recipients SET status = 'expired' WHERE email_id = $1`, e.ID)
		_, _, err := b.Retry(t.Context(), acme, e.ID, now)
		require.NoError(t, err)
		record, err := b.Email(t.Context(), acme, e.ID)
		require.NoError(t, err)
		require.Equal(t, kept, record.ExpiresAt != nil && expires.Equal(*record.ExpiresAt))
	}
}

// Another dispatch would take the hand-over that is under way for cut off, and send twice.
func TestRetry_NotWhileARecipientIsBeingSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "failed@x.yz", "sending@x.yz")
	dispatch := b.dispatch(e)
	b.exec(`UPDATE recipients SET status = split_part(address, '@', 1), attempts = 1`)
	_, _, err := b.Retry(t.Context(), acme, e.ID, time.Now())
	f := requireFault(t, err, fault.Conflict, "email_being_sent")
	require.Equal(t, time.Second, f.RetryAfter)
	require.Equal(t, store.Progress{Failed: 1, Queued: 1}, b.progress(dispatch), "as it was")
}

// Whoever has loaded another recipient of the email before the retry leaves that one, too, to
// the new dispatch: it would find the hand-over under way, and take it for cut off.
func TestStartAttempts_NotOfWhatWasMovedByARetry(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "failed@x.yz", "queued@x.yz")
	old := b.dispatch(e)
	b.exec(`UPDATE recipients SET status = split_part(address, '@', 1)`)
	seen := b.due(old, time.Now())
	require.Len(t, seen, 1)
	_, _, err := b.Retry(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	numbers, err := b.StartAttempts(t.Context(), acme, seen, time.Now())
	require.NoError(t, err)
	require.Empty(t, numbers)
}

// The same with both at once, many times: either the retry is refused, or nothing that the old
// dispatch has loaded is claimed by it.
func TestRetry_BesideADelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for range 30 {
		e := newEmail(acme, "failed@x.yz", "queued@x.yz")
		old := b.dispatch(e)
		b.exec(`UPDATE recipients SET status = split_part(address, '@', 1) WHERE email_id = $1`, e.ID)
		seen := b.due(old, time.Now())
		var claimed int
		var refused error
		require.NoError(t, inParallel(2, func(i int) error {
			if i == 0 {
				_, _, refused = b.Retry(t.Context(), acme, e.ID, time.Now())
				return nil
			}
			numbers, err := b.StartAttempts(t.Context(), acme, seen, time.Now())
			claimed = len(numbers)
			return err
		}))
		if refused != nil {
			requireFault(t, refused, fault.Conflict, "email_being_sent")
			require.Equal(t, 1, claimed)
			continue
		}
		require.Zero(t, claimed)
	}
}
