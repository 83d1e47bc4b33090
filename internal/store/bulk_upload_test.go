package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// noonAhead is some day's, at which days are easy to tell.
var noonAhead = time.Date(2030, 11, 24, 12, 0, 0, 0, time.UTC)

func TestBulkUpload_CountsAndCompletes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	k := b.newBulk(acme, nil)
	require.Equal(t, store.BulkUploading, k.now().Status)
	k.add(noonAhead, store.BulkBatch{Lines: k.lines(3), Rejected: 1, Errors: []store.BulkError{
		{Line: 9, Location: "to", Code: "invalid_address", Message: "no"}, {Line: 9, Location: "metadata", Code: "too_large", Message: "no"},
	}})
	require.Empty(t, k.take(noonAhead).Dispatch, "nothing is sent before the upload is complete")
	status, err := b.CompleteBulkSend(t.Context(), acme, k.id, nil, noonAhead)
	require.NoError(t, err)
	require.Equal(t, store.BulkRunning, status)
	got := k.now()
	require.Equal(t, "News", got.Name)
	require.Equal(t, 3, got.Accepted)
	require.Equal(t, 1, got.Rejected)
	require.Equal(t, map[email.Status]int{email.Queued: 3}, got.Progress)
	require.Nil(t, got.FinishedAt)
	require.Equal(t, map[string]int{"2030-11-24": 3}, b.reservedOn(acme))
	errors, next, err := b.ListBulkSendErrors(t.Context(), acme, k.id, "", 1)
	require.NoError(t, err)
	require.Equal(t, []store.BulkError{{Line: 9, Location: "to", Code: "invalid_address", Message: "no"}}, errors)
	errors, next, err = b.ListBulkSendErrors(t.Context(), acme, k.id, next, 1)
	require.NoError(t, err)
	require.Equal(t, "metadata", errors[0].Location)
	require.Empty(t, next)

	_, err = b.BulkSend(t.Context(), other, k.id)
	requireFault(t, err, fault.NotFound, "bulk_send_not_found")
	_, _, err = b.ListBulkSendErrors(t.Context(), other, k.id, "", 10)
	requireFault(t, err, fault.NotFound, "bulk_send_not_found")
	_, _, err = b.ListBulkSendErrors(t.Context(), acme, k.id, "%", 10)
	requireCursorRefused(t, err)
	list, _, err := b.ListBulkSends(t.Context(), other, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestBulkUpload_NothingAcceptedIsCompleted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	k.add(noonAhead, store.BulkBatch{Rejected: 2})
	status, err := b.CompleteBulkSend(t.Context(), acme, k.id, nil, noonAhead)
	require.NoError(t, err)
	require.Equal(t, store.BulkCompleted, status)
	require.Equal(t, 2, k.now().Rejected)
	_, err = b.CompleteBulkSend(t.Context(), acme, k.id, nil, noonAhead)
	requireFault(t, err, fault.Conflict, "bulk_send_cancelled")
}

// What does not fit is rejected line by line, and every line that fits is accepted.
func TestBulkUpload_LimitRejects(t *testing.T) {
	t.Parallel()
	limit := 7
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	k := b.newBulk(acme, nil)
	require.Len(t, k.add(noonAhead, store.BulkBatch{Lines: k.lines(5)}).Lines, 5)
	done := k.add(noonAhead, store.BulkBatch{Lines: k.lines(5)})
	require.Len(t, done.Lines, 2)
	require.Equal(t, 3, done.Rejected)
	require.Equal(t, []int{9, 10, 11}, []int{done.Errors[0].Line, done.Errors[1].Line, done.Errors[2].Line})
	require.Equal(t, "daily_limit_reached", done.Errors[0].Code)
	require.Equal(t, map[string]int{"2030-11-24": 7}, b.reservedOn(acme))
	require.Equal(t, 7, k.now().Accepted)
}

// Over the limit, lines wait for the first days with room: chunks are split, to the line.
func TestBulkUpload_LimitHolds(t *testing.T) {
	t.Parallel()
	limit := 4
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue})
	k := b.newBulk(acme, nil).upload(noonAhead, 10)
	require.Equal(t, map[string]int{"2030-11-24": 4, "2030-11-25": 4, "2030-11-26": 2}, b.reservedOn(acme))
	require.Equal(t, map[email.Status]int{email.Queued: 4, email.Held: 6}, k.now().Progress)
	require.Equal(t, 4, k.take(noonAhead).Dispatch.Emails)
	step := k.take(noonAhead)
	require.Nil(t, step.Dispatch)
	require.Equal(t, noonAhead.Truncate(24*time.Hour).Add(24*time.Hour), step.NextAt.UTC())
	require.Equal(t, 4, k.take(noonAhead.Add(24*time.Hour)).Dispatch.Emails)
	last := k.take(noonAhead.Add(48 * time.Hour))
	require.Equal(t, 2, last.Dispatch.Emails)
	require.Equal(t, store.BulkCompleted, last.Status)
	require.Equal(t, 10, ask[int](b, `SELECT count(DISTINCT address)::int FROM recipients`), "every line, once")
}

func TestBulkUpload_HeldLinesThatWouldExpireAreRejected(t *testing.T) {
	t.Parallel()
	limit := 4
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue})
	k := b.newBulk(acme, func(e *email.Email) { e.ExpiresAt = noonAhead.Add(24 * time.Hour) })
	done := k.add(noonAhead, store.BulkBatch{Lines: k.lines(10)})
	require.Len(t, done.Lines, 8, "today's and tomorrow's")
	require.Equal(t, 2, done.Rejected)
	require.Equal(t, map[string]int{"2030-11-24": 4, "2030-11-25": 4}, b.reservedOn(acme))
}

func TestBulkUpload_Scheduled(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	at := noonAhead.Add(48 * time.Hour)
	k := b.newBulk(acme, func(e *email.Email) { e.ScheduledAt = at }).upload(noonAhead, 3)
	require.Equal(t, map[string]int{"2030-11-26": 3}, b.reservedOn(acme))
	require.Equal(t, map[email.Status]int{email.Scheduled: 3}, k.now().Progress)
	require.Equal(t, at, k.take(noonAhead).NextAt.UTC())
	require.Equal(t, 3, k.take(at).Dispatch.Emails)
}

// The limit holds exactly when uploads and emails come at once.
func TestBulkUpload_LimitUnderParallelLoad(t *testing.T) {
	t.Parallel()
	limit := 50
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	uploads := []*bulk{b.newBulk(acme, nil), b.newBulk(acme, nil), b.newBulk(acme, nil)}
	batches := make([][]store.BulkLine, 12)
	for i := range batches {
		batches[i] = uploads[i%3].lines(7)
	}
	require.NoError(t, inParallel(12, func(i int) error {
		if _, err := acceptAt(t.Context(), b.Store, noonAhead, []email.Email{newEmail(acme, "a@example.com")}); err != nil {
			return err
		}
		_, err := b.AddBulkBatch(t.Context(), uploads[i%3].id, uploads[i%3].shared, store.BulkBatch{Lines: batches[i]}, noonAhead)
		return err
	}))
	accepted := ask[int](b, `SELECT count(*)::int FROM emails`)
	for _, k := range uploads {
		accepted += k.now().Accepted
	}
	require.Equal(t, limit, accepted)
	require.Equal(t, map[string]int{"2030-11-24": limit}, b.reservedOn(acme))
}

func TestBulkUpload_Refusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	_, err := b.AddBulkBatch(t.Context(), id.New(), k.shared, store.BulkBatch{}, noonAhead)
	requireFault(t, err, fault.NotFound, "bulk_send_not_found")
	_, err = b.CompleteBulkSend(t.Context(), acme, uuid.Nil, nil, noonAhead)
	requireFault(t, err, fault.NotFound, "bulk_send_not_found")
	_, err = b.CancelBulkSend(t.Context(), acme, k.id, noonAhead)
	require.NoError(t, err)
	_, err = b.AddBulkBatch(t.Context(), k.id, k.shared, store.BulkBatch{Lines: k.lines(1)}, noonAhead)
	requireFault(t, err, fault.Conflict, "bulk_send_cancelled")
	leaving := b.newBulk(acme, nil)
	_, err = b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	_, err = b.AddBulkBatch(t.Context(), leaving.id, leaving.shared, store.BulkBatch{Lines: leaving.lines(1)}, noonAhead)
	requireFault(t, err, fault.Conflict, "tenant_deleting")
}

func TestBulkUpload_KeepsTenThousandErrors(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	for range 3 {
		batch := store.BulkBatch{Rejected: 4000}
		for i := range batch.Rejected {
			batch.Errors = append(batch.Errors, store.BulkError{Line: i, Code: "malformed_json", Message: "no"})
		}
		require.Len(t, k.add(noonAhead, batch).Errors, 4000)
	}
	require.Equal(t, 10_000, ask[int](b, `SELECT count(*)::int FROM bulk_send_errors`))
	require.Equal(t, 12_000, k.now().Rejected)
}

func TestCancelStaleUploads(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	stale, fresh := b.newBulk(acme, nil), b.newBulk(acme, nil)
	stale.add(noonAhead, store.BulkBatch{Lines: stale.lines(3)})
	fresh.add(noonAhead.Add(10*time.Minute), store.BulkBatch{Lines: fresh.lines(2)})
	n, err := b.CancelStaleUploads(t.Context(), noonAhead.Add(time.Minute), noonAhead.Add(11*time.Minute))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, store.BulkCancelled, stale.now().Status)
	require.Equal(t, map[email.Status]int{email.Cancelled: 3}, stale.now().Progress)
	require.Equal(t, store.BulkUploading, fresh.now().Status)
	require.Equal(t, map[string]int{"2030-11-24": 2}, b.reservedOn(acme), "what it had reserved is given back")
}

func TestListBulkSends_Pages(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	var want []string
	for range 3 {
		want = append([]string{fmt.Sprint(b.newBulk(acme, nil).id)}, want...)
	}
	var got []string
	for _, page := range pages(t, func(after string) ([]store.BulkSend, string, error) {
		return b.ListBulkSends(t.Context(), acme, after, 2)
	}) {
		for _, k := range page {
			got = append(got, k.ID.String())
		}
	}
	require.Equal(t, want, got)
}
