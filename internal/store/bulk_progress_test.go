package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// become gives the recipients of lines a status; line 2 is the first.
func (k *bulk) become(status email.Status, lines ...int) {
	k.t.Helper()
	k.exec(`UPDATE recipients r SET status = $1, attempts = 1, next_attempt_at = CASE WHEN $1 = 'deferred' THEN now() END
		FROM emails e, unnest($3::int[]) AS line (number)
		WHERE e.id = r.email_id AND e.bulk_send_id = $2 AND r.address = 'r' || line.number || '@example.com'`, string(status), k.id, lines)
}

func (k *bulk) lookedAt() int {
	k.t.Helper()
	return ask[int](k.bundle, `SELECT coalesce(sum(cardinality(rest)), 0)::int FROM bulk_send_chunks`)
}

// What has ended for good is counted once and not looked at again; what can change is, and is
// right at every moment.
func TestBulkProgress_CountsWhatHasEnded(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	for range 2 {
		k.add(noonAhead, store.BulkBatch{Lines: k.lines(8)})
	}
	_, err := b.CompleteBulkSend(t.Context(), acme, k.id, nil, noonAhead)
	require.NoError(t, err)
	require.Equal(t, map[email.Status]int{email.Queued: 16}, k.now().Progress)
	first := k.take(noonAhead).Dispatch
	require.Equal(t, 8, k.lookedAt())
	k.become(email.Sent, 2, 3, 4)
	k.become(email.Bounced, 5)
	k.become(email.Failed, 6)
	k.become(email.Expired, 7)
	k.become(email.Unknown, 8)
	k.become(email.Deferred, 9)
	want := map[email.Status]int{
		email.Sent: 3, email.Bounced: 1, email.Failed: 1, email.Expired: 1, email.Unknown: 1, email.Deferred: 1, email.Queued: 8,
	}
	require.Equal(t, want, k.now().Progress)
	second := k.take(noonAhead).Dispatch
	require.Equal(t, want, k.now().Progress, "the first chunk is passed")
	require.Equal(t, 4+8, k.lookedAt(), "a retry can still change four of it")

	k.become(email.Sent, 9)
	k.become(email.Cancelled, 10)
	k.become(email.Sent, 11, 12, 13, 14, 15, 16, 17)
	want = map[email.Status]int{
		email.Sent: 11, email.Bounced: 1, email.Failed: 1, email.Expired: 1, email.Unknown: 1, email.Cancelled: 1,
	}
	require.Equal(t, want, k.now().Progress)
	for _, d := range []uuid.UUID{first.ID, second.ID, first.ID} { // a repeat counts nothing twice
		_, err = b.Progress(t.Context(), acme, d, noonAhead)
		require.NoError(t, err)
		require.Equal(t, want, k.now().Progress)
	}
	require.Equal(t, 3, k.lookedAt())
}

// An email that is tried again goes on in another dispatch, and is counted all the same.
func TestBulkProgress_Retried(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 3)
	dispatch := k.take(noonAhead).Dispatch.ID
	k.become(email.Failed, 2)
	k.become(email.Sent, 3)
	retried := ask[uuid.UUID](b, `SELECT email_id FROM recipients WHERE status = 'failed'`)
	_, _, err := b.Retry(t.Context(), acme, retried, noonAhead)
	require.NoError(t, err)
	n, err := b.ClaimDispatch(t.Context(), acme, email.Bulk, id.New(), []uuid.UUID{retried})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	k.become(email.Sent, 4)
	_, err = b.Progress(t.Context(), acme, dispatch, noonAhead) // what is left of it is finished
	require.NoError(t, err)
	require.Equal(t, map[email.Status]int{email.Sent: 2, email.Queued: 1}, k.now().Progress)
	k.become(email.Sent, 2)
	require.Equal(t, map[email.Status]int{email.Sent: 3}, k.now().Progress)
}

// A chunk is counted by the workflow of its dispatch and by that of the bulk send.
func TestBulkProgress_CountedOnceInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 1200)
	dispatches := []uuid.UUID{k.take(noonAhead).Dispatch.ID, k.take(noonAhead).Dispatch.ID}
	b.exec(`UPDATE recipients SET status = 'sent', attempts = 1`)
	require.NoError(t, inParallel(8, func(i int) error {
		if i%2 == 0 {
			_, err := b.TakeChunk(t.Context(), acme, k.id, 1, noonAhead)
			return err
		}
		_, err := b.Progress(t.Context(), acme, dispatches[i/2%2], noonAhead)
		return err
	}))
	require.Equal(t, map[email.Status]int{email.Sent: 1000, email.Queued: 200}, k.now().Progress)
}

// Cancelling reaches what is deferred in chunks that are passed.
func TestBulkProgress_CancelsTheRest(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	for range 2 {
		k.add(noonAhead, store.BulkBatch{Lines: k.lines(3)})
	}
	_, err := b.CompleteBulkSend(t.Context(), acme, k.id, nil, noonAhead)
	require.NoError(t, err)
	dispatch := k.take(noonAhead).Dispatch
	require.Equal(t, k.id, *dispatch.BulkSendID)
	k.become(email.Sent, 2, 3)
	k.become(email.Deferred, 4)
	require.NotNil(t, k.take(noonAhead).Dispatch)
	require.Equal(t, 1+3, k.lookedAt())
	woken, err := b.CancelBulkSend(t.Context(), acme, k.id, noonAhead)
	require.NoError(t, err)
	require.Len(t, woken, 2)
	require.Equal(t, map[email.Status]int{email.Sent: 2, email.Cancelled: 4}, k.now().Progress)
	require.Equal(t, map[string]int{"2030-11-24": 3}, b.reservedOn(acme), "what was tried stays used")
}

// A dispatch that is started late is found by its bulk send like any other.
func TestListStaleDispatches_OfABulkSend(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 2)
	k.take(noonAhead)
	b.dispatch(newEmail(acme))
	stale, err := b.ListStaleDispatches(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	of := map[int]*uuid.UUID{}
	for _, d := range stale {
		of[d.Emails] = d.BulkSendID
	}
	require.Equal(t, map[int]*uuid.UUID{2: &k.id, 1: nil}, of)
}
