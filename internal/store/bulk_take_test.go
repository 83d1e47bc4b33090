package store_test

import (
	"fmt"
	"sync"
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

// The emails of a bulk send are emails like others, with what their lines share.
func TestTakeChunk_MakesEmails(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, func(e *email.Email) { e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }).upload(noonAhead, 2)
	step := k.take(noonAhead)
	require.Equal(t, 2, step.Dispatch.Emails)
	require.Equal(t, email.Bulk, step.Dispatch.Class)
	require.InDelta(t, 1, step.Dispatch.Weight, 0)
	require.Equal(t, store.BulkCompleted, step.Status)
	require.Equal(t, noonAhead, k.now().FinishedAt.UTC())
	list, _, err := b.ListEmails(t.Context(), acme, store.EmailFilter{Tag: "news"}, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, step.Dispatch.ID, *list[0].DispatchID)
	require.Equal(t, email.Bulk, list[0].Class)
	require.JSONEq(t, `{"n":1}`, string(list[0].Metadata))
	letter, err := b.Letter(t.Context(), acme, list[1].ID)
	require.NoError(t, err)
	want := k.shared.Content
	want.Variables = letter.Content.Variables
	require.Equal(t, want, letter.Content)
	require.JSONEq(t, `{"name":"2"}`, string(letter.Content.Variables))
	require.Equal(t, k.shared.TraceParent, letter.TraceParent)
	require.Equal(t, "r2@example.com", letter.Recipients[0].Address.Addr)
	other, err := b.Letter(t.Context(), acme, list[0].ID)
	require.NoError(t, err)
	require.Equal(t, acme+"/"+id.BulkSend.Format(k.id), letter.Rendering().Shared)
	require.Equal(t, letter.Rendering().Shared, other.Rendering().Shared, "compiled once for all lines")
	due, err := b.ListDue(t.Context(), acme, step.Dispatch.ID, noonAhead, 10)
	require.NoError(t, err)
	require.Len(t, due, 2)
	require.Zero(t, ask[int](b, `SELECT sum(length(content))::int FROM bulk_send_chunks`), "the lines are kept once")
}

func TestTakeChunk_KeepsTheWindow(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 2600)
	var taken []int
	for {
		step := k.take(noonAhead)
		if step.Dispatch == nil {
			require.Equal(t, 2000, step.Open)
			require.Equal(t, 600, step.Left)
			break
		}
		taken = append(taken, step.Dispatch.Emails)
	}
	require.Equal(t, []int{500, 500, 500, 500}, taken)
	b.exec(`UPDATE recipients SET status = 'sending'`)
	require.Nil(t, k.take(noonAhead).Dispatch)
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = now() WHERE address = 'r2@example.com'`)
	require.NotNil(t, k.take(noonAhead).Dispatch, "what is deferred does not hold the others up")
	b.exec(`UPDATE recipients SET status = 'sent'`)
	require.Equal(t, 100, k.take(noonAhead).Dispatch.Emails)
	require.Equal(t, map[email.Status]int{email.Sent: 2500, email.Queued: 100}, k.now().Progress)
}

// However many take at once, each line is taken once.
func TestTakeChunk_Once(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 1200)
	var mu sync.Mutex
	dispatches := map[uuid.UUID]bool{}
	require.NoError(t, inParallel(8, func(int) error {
		step, err := b.TakeChunk(t.Context(), acme, k.id, 2000, noonAhead)
		if err == nil && step.Dispatch != nil {
			mu.Lock()
			defer mu.Unlock()
			dispatches[step.Dispatch.ID] = true
		}
		return err
	}))
	require.Len(t, dispatches, 3)
	require.Equal(t, 1200, ask[int](b, `SELECT count(*)::int FROM recipients`))
	require.Equal(t, 1200, ask[int](b, `SELECT count(DISTINCT address)::int FROM recipients`))
}

func TestBulkSend_PauseAndResume(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	requireFault(t, b.PauseBulkSend(t.Context(), acme, k.id, noonAhead), fault.Conflict, "bulk_send_not_running")
	k.upload(noonAhead, 600)
	requireFault(t, b.ResumeBulkSend(t.Context(), acme, k.id, noonAhead), fault.Conflict, "bulk_send_not_paused")
	require.NoError(t, b.PauseBulkSend(t.Context(), acme, k.id, noonAhead))
	step := k.take(noonAhead)
	require.Equal(t, store.BulkPaused, step.Status)
	require.Nil(t, step.Dispatch)
	require.Equal(t, 600, step.Left)
	require.NoError(t, b.ResumeBulkSend(t.Context(), acme, k.id, noonAhead))
	require.NotNil(t, k.take(noonAhead).Dispatch)
	requireFault(t, b.PauseBulkSend(t.Context(), other, k.id, noonAhead), fault.NotFound, "bulk_send_not_found")
}

func TestCancelBulkSend(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 700)
	dispatch := k.take(noonAhead).Dispatch.ID
	b.exec(`UPDATE recipients SET status = 'sent', attempts = 1 WHERE address = 'r2@example.com'`)
	b.exec(`UPDATE recipients SET status = 'deferred', attempts = 1 WHERE address = 'r3@example.com'`)
	b.exec(`UPDATE recipients SET status = 'sending', attempts = 1 WHERE address = 'r4@example.com'`)
	dispatches, err := b.CancelBulkSend(t.Context(), acme, k.id, noonAhead)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{dispatch}, dispatches)
	got := k.now()
	require.Equal(t, store.BulkCancelled, got.Status)
	require.Equal(t, map[email.Status]int{email.Sent: 1, email.Sending: 1, email.Cancelled: 698}, got.Progress)
	require.Equal(t, map[string]int{"2030-11-24": 3}, b.reservedOn(acme), "what was tried stays used")
	require.Equal(t, store.BulkCancelled, k.take(noonAhead).Status)
	_, err = b.CancelBulkSend(t.Context(), acme, k.id, noonAhead)
	requireFault(t, err, fault.Conflict, "nothing_to_cancel")
}

// A bulk send whose lines all are emails can still be taken back, unless all have gone.
func TestCancelBulkSend_Completed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k, gone := b.newBulk(acme, nil).upload(noonAhead, 3), b.newBulk(acme, nil).upload(noonAhead, 3)
	k.take(noonAhead)
	gone.take(noonAhead)
	b.exec(`UPDATE recipients r SET status = 'sent' FROM emails e WHERE e.id = r.email_id AND e.bulk_send_id = $1`, gone.id)
	_, err := b.CancelBulkSend(t.Context(), acme, k.id, noonAhead)
	require.NoError(t, err)
	_, err = b.CancelBulkSend(t.Context(), acme, gone.id, noonAhead)
	requireFault(t, err, fault.Conflict, "nothing_to_cancel")
	require.Equal(t, store.BulkCompleted, gone.now().Status)
	_, err = b.CancelBulkSend(t.Context(), other, k.id, noonAhead)
	requireFault(t, err, fault.NotFound, "tenant_not_found")
}

// A changed limit moves held lines, and splits chunks where it must.
func TestRehold_BulkSends(t *testing.T) {
	t.Parallel()
	limit := 4
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue})
	k := b.newBulk(acme, nil).upload(noonAhead, 12)
	_, err := b.UpdateTenant(t.Context(), acme, func(got *tenant.Tenant) error {
		more := 6
		got.Settings.DailyLimit = &more
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{k.id}, b.rehold(acme, noonAhead), "it is told")
	require.Equal(t, map[string]int{"2030-11-24": 6, "2030-11-25": 6}, b.reservedOn(acme))
	for day := range 2 {
		at := noonAhead.Add(time.Duration(day) * 24 * time.Hour)
		for step := k.take(at); step.Dispatch != nil; {
			step = k.take(at)
		}
		require.Equal(t, 6*(day+1), ask[int](b, `SELECT count(DISTINCT address)::int FROM recipients`), fmt.Sprint("day ", day))
	}
	require.Equal(t, store.BulkCompleted, k.now().Status)
}

// Held lines that no day has room for before they expire become emails at that time, to expire.
func TestRehold_BulkSendsExpireInTime(t *testing.T) {
	t.Parallel()
	limit := 4
	expires := noonAhead.Add(36 * time.Hour)
	b := newBundle(t)
	b.activate(acme, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue})
	k := b.newBulk(acme, func(e *email.Email) { e.ExpiresAt = expires }).upload(noonAhead, 8)
	for _, c := range []struct{ limit, late int }{{3, 1}, {0, 4}, {4, 0}, {1, 3}} {
		b.setLimit(acme, c.limit)
		b.rehold(acme, noonAhead)
		require.Equal(t, c.late, ask[int](b,
			`SELECT coalesce(sum(lines), 0)::int FROM bulk_send_chunks WHERE held AND release_at = $1`, expires), c.limit)
	}
	for step := k.take(expires); step.Dispatch != nil; {
		step = k.take(expires)
	}
	require.Equal(t, store.BulkCompleted, k.now().Status)
}

func TestStaleBulkSends(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.newBulk(acme, nil)
	started, stale := b.newBulk(acme, nil).upload(noonAhead, 1), b.newBulk(acme, nil).upload(noonAhead, 2)
	require.NoError(t, b.SetBulkSendRun(t.Context(), acme, started.id, "run"))
	require.Equal(t, "run", started.now().RunID)
	got, err := b.StaleBulkSends(t.Context(), noonAhead.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, []store.BulkSend{{TenantID: acme, ID: stale.id, Class: email.Bulk, Accepted: 2}}, got)
	got, err = b.StaleBulkSends(t.Context(), noonAhead)
	require.NoError(t, err)
	require.Empty(t, got)
}
