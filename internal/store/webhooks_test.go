package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

const soon = time.Minute

// webhook makes a webhook of a tenant that is enabled.
func (b *bundle) webhook(tenantID string, events ...string) store.Webhook {
	b.t.Helper()
	w, err := b.CreateWebhook(b.t.Context(), store.Webhook{
		TenantID: tenantID, ID: id.New(), URL: "https://acme.com/hook", Events: events, Enabled: true, Secret: []byte("sealed"),
	})
	require.NoError(b.t, err)
	return w
}

func ref(w store.Webhook) store.WebhookRef { return store.WebhookRef{TenantID: w.TenantID, ID: w.ID} }

// fillWebhooks gives a tenant two webhooks, with a call each in the log that is made again.
func (b *bundle) fillWebhooks(tenantID string) {
	b.t.Helper()
	for range 2 {
		w := b.webhook(tenantID, "*")
		require.NoError(b.t, b.WriteWebhookCalls(b.t.Context(), ref(w), failedCall(id.New(), time.Now().Add(time.Hour))))
	}
}

// failedCall is a first call that failed, and is made again.
func failedCall(eventID uuid.UUID, next time.Time) store.WebhookCalls {
	now := time.Now()
	return store.WebhookCalls{Failures: 1, FailingSince: &now, Calls: []store.WebhookDelivery{{
		EventID: eventID, EventType: "email.sent", Attempt: 1, StartedAt: now, Duration: time.Second, Status: 500, Response: "oh", Error: "status", NextAt: &next,
	}}}
}

// awaitJobs gives the jobs of a webhook once there are so many.
func (b *bundle) awaitJobs(w store.Webhook, count int) (jobs []store.WebhookJob, reached uuid.UUID) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		var err error
		jobs, reached, err = b.WebhookJobs(b.t.Context(), w, time.Now(), 100)
		require.NoError(b.t, err)
		return len(jobs) >= count
	}, 20*time.Second, 5*time.Millisecond)
	require.Len(b.t, jobs, count)
	return jobs, reached
}

func (b *bundle) now(w store.Webhook) store.Webhook {
	b.t.Helper()
	now, err := b.Webhook(b.t.Context(), w.TenantID, w.ID)
	require.NoError(b.t, err)
	return now
}

func TestWebhooks_AreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	w := b.webhook(acme, "email.*")
	require.Equal(t, w, b.now(w))
	_, err := b.Webhook(t.Context(), other, w.ID)
	requireFault(t, err, fault.NotFound, "webhook_not_found")
	_, err = b.UpdateWebhook(t.Context(), other, w.ID, func(*store.Webhook) error { return nil })
	requireFault(t, err, fault.NotFound, "webhook_not_found")
	requireFault(t, b.DeleteWebhook(t.Context(), other, w.ID), fault.NotFound, "webhook_not_found")
	_, err = b.RotateWebhookSecret(t.Context(), other, store.SecretRotation{WebhookID: w.ID, Sealed: []byte("x"), OldEnds: time.Now()})
	requireFault(t, err, fault.NotFound, "webhook_not_found")
	_, err = b.ReplayWebhook(t.Context(), other, w.ID, store.Replay{Until: uuid.Max, Limit: 10})
	requireFault(t, err, fault.NotFound, "webhook_not_found")
	_, _, err = b.ListWebhookDeliveries(t.Context(), other, w.ID, store.DeliveryQuery{Limit: 10})
	requireFault(t, err, fault.NotFound, "webhook_not_found")
	_, _, err = b.ListWebhooks(t.Context(), acme, "no cursor", 10)
	requireCursorRefused(t, err)

	// No event of another tenant is replayed, whoever names it.
	foreign := newEmail(other, "eve@example.com")
	b.accept(foreign)
	theirs := b.webhook(other, "*")
	require.Eventually(t, func() bool { return len(b.events(other)) == 1 }, 20*time.Second, 5*time.Millisecond)
	_, err = b.ReplayWebhook(t.Context(), acme, w.ID, store.Replay{IDs: []uuid.UUID{b.events(other)[0].ID}})
	f := requireFault(t, err, fault.Invalid, "validation_failed")
	require.Equal(t, "body.eventIds[0]", f.Fields[0].Location)
	require.Equal(t, "event_not_found", f.Fields[0].Code)
	done, err := b.ReplayWebhook(t.Context(), other, theirs.ID, store.Replay{IDs: []uuid.UUID{b.events(other)[0].ID}})
	require.NoError(t, err)
	require.Equal(t, 1, done.Events)
}

func TestWebhooks_List(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	b.webhook(other, "*")
	var made []uuid.UUID
	for range 20 {
		made = append([]uuid.UUID{b.webhook(acme, "*").ID}, made...)
	}
	var listed []uuid.UUID
	for i, page := range pages(t, func(after string) ([]store.Webhook, string, error) {
		return b.ListWebhooks(t.Context(), acme, after, 8)
	}) {
		require.Len(t, page, []int{8, 8, 4}[i])
		for _, w := range page {
			listed = append(listed, w.ID)
		}
	}
	require.Equal(t, made, listed)
	_, err := b.CreateWebhook(t.Context(), store.Webhook{TenantID: acme, ID: id.New(), URL: "x", Events: []string{"*"}, Secret: []byte("x")})
	requireFault(t, err, fault.Conflict, "too_many_webhooks")
}

// However many are made at the same time, there are never more than there may be.
func TestWebhooks_AreCountedInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for range 17 {
		b.webhook(acme, "*")
	}
	err := inParallel(8, func(int) error {
		_, err := b.CreateWebhook(t.Context(), store.Webhook{TenantID: acme, ID: id.New(), URL: "x", Events: []string{"*"}, Secret: []byte("x")})
		return err
	})
	requireFault(t, err, fault.Conflict, "too_many_webhooks")
	require.EqualValues(t, 20, ask[int64](b, `SELECT count(*) FROM webhooks`))
}

func TestWebhooks_DisableAndEnable(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w := b.webhook(acme, "*")
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), failedCall(id.New(), time.Now())))
	set := func(enabled bool) store.Webhook {
		changed, err := b.UpdateWebhook(t.Context(), acme, w.ID, func(w *store.Webhook) error { w.Enabled = enabled; return nil })
		require.NoError(t, err)
		return changed
	}
	off := set(false)
	require.Equal(t, store.DisabledByRequest, off.DisabledReason)
	require.WithinDuration(t, time.Now(), *off.DisabledAt, soon)
	require.Equal(t, off, set(false), "again")
	waiting, _, err := b.WebhookStanding(t.Context(), ref(w))
	require.NoError(t, err)
	require.Zero(t, waiting, "what waited is forgotten")
	_, err = b.ReplayWebhook(t.Context(), acme, w.ID, store.Replay{Until: uuid.Max, Limit: 1})
	requireFault(t, err, fault.Conflict, "webhook_disabled")

	b.accept(newEmail(acme, "ada@example.com"))
	missed := b.awaitEvents(1)[0]
	on := set(true)
	require.True(t, on.Enabled)
	require.Nil(t, on.DisabledAt)
	require.Zero(t, on.Failures)
	b.accept(newEmail(acme, "bob@example.com"))
	jobs, _ := b.awaitJobs(on, 1)
	require.NotEqual(t, missed.ID, jobs[0].Event.ID, "it is told of what happens from then on")

	done, err := b.ReplayWebhook(t.Context(), acme, w.ID, store.Replay{After: off.Cursor, Until: missed.ID, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, store.Replayed{Events: 1}, done)
	jobs, _ = b.awaitJobs(on, 2)
	require.Equal(t, missed.ID, jobs[0].Event.ID, "and by a replay of the rest")
	require.True(t, jobs[0].Again)
	require.Equal(t, 1, jobs[0].Attempt)
}

func TestWebhooks_DisabledByFailure(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w, witness := b.webhook(acme, "*"), b.webhook(acme, "webhook.*")
	for range 2 {
		require.NoError(t, b.DisableFailingWebhook(t.Context(), ref(w), store.DisabledGone, time.Now()))
	}
	require.Equal(t, store.DisabledGone, b.now(w).DisabledReason)
	told := b.awaitEvents(1)
	require.Len(t, told, 1, "once")
	require.Equal(t, event.WebhookDisabled, told[0].Type)
	require.Equal(t, &store.EventWebhook{WebhookID: w.ID, Reason: "gone", Cursor: w.Cursor}, told[0].Webhook)
	b.awaitJobs(witness, 1)
	require.NoError(t, b.DisableFailingWebhook(t.Context(), store.WebhookRef{TenantID: acme, ID: id.New()}, store.DisabledGone, time.Now()), "gone")
}

func TestWebhooks_Rotate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w := b.webhook(acme, "*")
	now := time.Now()
	ends := now.Add(time.Hour)
	rotated, err := b.RotateWebhookSecret(t.Context(), acme, store.SecretRotation{WebhookID: w.ID, Sealed: []byte("second"), OldEnds: ends})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("second"), []byte("sealed")}, rotated.Sealed(now))
	require.Equal(t, [][]byte{[]byte("second")}, rotated.Sealed(ends.Add(time.Second)))
	rotated, err = b.RotateWebhookSecret(t.Context(), acme, store.SecretRotation{WebhookID: w.ID, Sealed: []byte("third"), OldEnds: now})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("third")}, rotated.Sealed(now), "without an overlap")
	refused := fault.New(fault.PreconditionFailed, "precondition_failed", "x")
	_, err = b.RotateWebhookSecret(t.Context(), acme, store.SecretRotation{WebhookID: w.ID, Sealed: []byte("x"), OldEnds: now}, func(store.Webhook) error { return refused })
	require.ErrorIs(t, err, refused)
	require.ErrorIs(t, b.DeleteWebhook(t.Context(), acme, w.ID, func(store.Webhook) error { return refused }), refused)
	require.NoError(t, b.DeleteWebhook(t.Context(), acme, w.ID))
}

func TestWebhookDeliveries_List(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w := b.webhook(acme, "*")
	first, next := id.New(), time.Now().Add(time.Minute).Truncate(time.Microsecond)
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), failedCall(first, next)))
	good := store.WebhookDelivery{EventID: first, EventType: "email.sent", Attempt: 2, StartedAt: time.Now(), Status: 200}
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), store.WebhookCalls{Calls: []store.WebhookDelivery{good}}))
	list := func(ask store.DeliveryQuery) (attempts []int) {
		ask.Limit = 10
		items, _, err := b.ListWebhookDeliveries(t.Context(), acme, w.ID, ask)
		require.NoError(t, err)
		for _, d := range items {
			attempts = append(attempts, d.Attempt)
		}
		return attempts
	}
	require.Equal(t, []int{2, 1}, list(store.DeliveryQuery{}))
	require.Equal(t, []int{1}, list(store.DeliveryQuery{Failed: true}))
	require.Equal(t, []int{2, 1}, list(store.DeliveryQuery{EventID: &first}))
	another := id.New()
	require.Empty(t, list(store.DeliveryQuery{EventID: &another}))
	items, next2, err := b.ListWebhookDeliveries(t.Context(), acme, w.ID, store.DeliveryQuery{Limit: 1})
	require.NoError(t, err)
	require.Nil(t, items[0].NextAt)
	items, end, err := b.ListWebhookDeliveries(t.Context(), acme, w.ID, store.DeliveryQuery{Limit: 1, After: next2})
	require.NoError(t, err)
	require.Empty(t, end)
	require.True(t, next.Equal(*items[0].NextAt))
	require.Equal(t, []any{500, "oh", "status", time.Second}, []any{items[0].Status, items[0].Response, items[0].Error, items[0].Duration})
	waiting, _, err := b.WebhookStanding(t.Context(), ref(w))
	require.NoError(t, err)
	require.Zero(t, waiting, "it was good at last")

	n, err := b.ForgetWebhookDeliveries(t.Context(), time.Now().Add(-time.Hour), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.ForgetWebhookDeliveries(t.Context(), time.Now().Add(time.Hour), 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

// The types that a webhook is told of.
func TestWebhookJobs_OfItsEvents(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	hooks := map[string]store.Webhook{}
	for _, pattern := range []string{"*", "email.*", "email.sent", "quota.*", "email.accepted"} {
		hooks[pattern] = b.webhook(acme, pattern)
	}
	b.accept(newEmail(acme, "ada@example.com"))
	b.awaitEvents(1)
	for pattern, want := range map[string]int{"*": 1, "email.*": 1, "email.sent": 0, "quota.*": 0, "email.accepted": 1} {
		jobs, reached := b.awaitJobs(hooks[pattern], want)
		require.Greater(t, fmt.Sprint(reached), fmt.Sprint(hooks[pattern].Cursor))
		if want == 1 {
			require.Equal(t, 1, jobs[0].Attempt)
			require.Equal(t, "ada@example.com", jobs[0].Event.Email.Recipient)
		}
	}
}

func TestWakeWebhooks_OnceForWhatIsNew(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	have, err := b.HaveWebhooks(t.Context())
	require.NoError(t, err)
	require.False(t, have)
	w, quiet := b.webhook(acme, "email.*"), b.webhook(acme, "quota.*")
	off := b.webhook(acme, "*")
	_, err = b.UpdateWebhook(t.Context(), acme, off.ID, func(w *store.Webhook) error { w.Enabled = false; return nil })
	require.NoError(t, err)
	b.webhook(other, "*")
	wake := func(now time.Time) []store.WebhookRef {
		due, err := b.WakeWebhooks(t.Context(), now, now.Add(soon), 10)
		require.NoError(t, err)
		return due
	}
	now := time.Now().Add(time.Second)
	require.Empty(t, wake(now))
	b.accept(newEmail(acme, "ada@example.com"))
	last := b.awaitEvents(1)[0].ID
	require.Equal(t, []store.WebhookRef{ref(w)}, wake(now))
	require.Empty(t, wake(now), "somebody is at it")
	require.Equal(t, []store.WebhookRef{ref(w)}, wake(now.Add(soon)), "and nothing has come of it")
	require.Greater(t, b.now(quiet).Cursor.String(), last.String(), "one that does not want it is taken past it")

	// It is at the end, and woken again when a call is due.
	calls := failedCall(last, now.Add(10*soon))
	calls.Cursor = last
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), calls))
	require.NoError(t, b.RestWebhook(t.Context(), ref(w), now))
	require.Empty(t, wake(now))
	require.Equal(t, []store.WebhookRef{ref(w)}, wake(now.Add(10*soon)))
	claimed, err := b.ClaimWebhook(t.Context(), ref(w), now.Add(20*soon))
	require.NoError(t, err)
	require.Equal(t, 1, claimed.Failures)
	require.Equal(t, last, claimed.Cursor)
	require.Empty(t, wake(now.Add(15*soon)))
	_, err = b.ClaimWebhook(t.Context(), store.WebhookRef{TenantID: other, ID: w.ID}, now)
	requireFault(t, err, fault.NotFound, "webhook_not_found")
}

// Nobody is called for a tenant that is being deleted.
func TestWakeWebhooks_NotOfADeletedTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w := b.webhook(acme, "*")
	b.accept(newEmail(acme, "ada@example.com"))
	b.awaitEvents(1)
	_, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	due, err := b.WakeWebhooks(t.Context(), time.Now(), time.Now(), 10)
	require.NoError(t, err)
	require.Empty(t, due)
	_, err = b.ClaimWebhook(t.Context(), ref(w), time.Now())
	requireFault(t, err, fault.NotFound, "webhook_not_found")
}

// A cursor never goes back, whoever is late.
func TestWriteWebhookCalls_TheCursorOnlyAdvances(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	w := b.webhook(acme, "*")
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), store.WebhookCalls{Cursor: uuid.Max}))
	require.NoError(t, b.WriteWebhookCalls(t.Context(), ref(w), store.WebhookCalls{Cursor: w.Cursor}))
	require.Equal(t, uuid.Max, b.now(w).Cursor)
	require.Equal(t, w.UpdatedAt, b.now(w).UpdatedAt, "calls are no change of a webhook")
}
