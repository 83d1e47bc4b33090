package store_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// events are all that a tenant's log has.
func (b *bundle) events(tenantID string, types ...string) []store.Event {
	b.t.Helper()
	events, err := b.ListEvents(b.t.Context(), tenantID, types, uuid.Nil, 1000)
	require.NoError(b.t, err)
	return events
}

// awaitEvents gives a tenant's events once so many are shown: transactions of other tests on
// the same server hold them back for a moment.
func (b *bundle) awaitEvents(count int, types ...string) (events []store.Event) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		events = b.events(acme, types...)
		return len(events) >= count
	}, 20*time.Second, 5*time.Millisecond)
	return events
}

// requireEvents requires the types that the log of acme has.
func (b *bundle) requireEvents(want ...event.Type) []store.Event {
	b.t.Helper()
	events := b.awaitEvents(len(want))
	got := make([]event.Type, len(events))
	for i, e := range events {
		got[i] = e.Type
	}
	require.Equal(b.t, want, got)
	return events
}

func TestEvents_OfARecipient(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := newEmail(acme, "a@example.com")
	e.Tags = []string{"invoice"}
	dispatch := b.dispatch(e)
	r := e.Recipients[0].ID
	next := time.Now().Add(-time.Second).Truncate(time.Microsecond)
	b.start(dispatch)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{deferred(r, 1, next)}))
	b.start(dispatch)
	require.NoError(t, b.SettleCutOff(t.Context(), acme, []uuid.UUID{r}, email.Queued, time.Now()))
	b.start(dispatch)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 3)}))
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{sent(r, 3)}), "again")

	events := b.requireEvents(event.EmailAccepted, event.EmailDeferred, event.EmailUnknown, event.EmailSent)
	for i, want := range []store.EventEmail{
		{},
		{Attempt: 1, Code: 451, Enhanced: "4.7.1", Reply: "greylisted, come back"},
		{Attempt: 2},
		{Attempt: 3, Code: 250, Enhanced: "2.0.0", Reply: "queued"},
	} {
		got := *events[i].Email
		require.WithinDuration(t, time.Now(), events[i].At, time.Minute)
		require.Equal(t, i == 1, got.NextAttemptAt != nil && next.Equal(*got.NextAttemptAt))
		got.NextAttemptAt = nil
		want.EmailID, want.RecipientID, want.Recipient, want.Kind = e.ID, r, "a@example.com", email.To
		want.Subject, want.Tags = e.Subject, e.Tags
		require.Equal(t, want, got)
	}
	require.Empty(t, b.events(other))
	for recipient, want := range map[string]int{"a@example.com": len(events), "b@example.com": 0} {
		for tenantID, own := range map[string]int{acme: 1, other: 0} {
			found, err := b.FindEvents(t.Context(), tenantID, store.EventQuery{Recipient: recipient, Limit: 10})
			require.NoError(t, err)
			require.Len(t, found, want*own)
		}
	}

	behind, err := b.ListEvents(t.Context(), acme, nil, events[1].ID, 1)
	require.NoError(t, err)
	require.Equal(t, events[2:3], behind)
	require.Equal(t, []store.Event{events[0], events[3]}, b.events(acme, string(event.EmailSent), string(event.EmailAccepted)))
}

func TestEvents_OfMailThatIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e, late := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	e.ScheduledAt = time.Now().Add(time.Hour).Truncate(time.Second)
	b.accept(e)
	at := e.ScheduledAt.Add(time.Hour)
	require.NoError(t, b.Reschedule(t.Context(), acme, e.ID, at, time.Now()))
	_, err := b.Cancel(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	b.dispatch(late)
	require.NoError(t, b.ExpireRecipients(t.Context(), acme, []uuid.UUID{late.Recipients[0].ID}, time.Now()))
	events := b.requireEvents(event.EmailAccepted, event.EmailScheduled, event.EmailScheduled, event.EmailCancelled,
		event.EmailAccepted, event.EmailExpired)
	require.True(t, e.ScheduledAt.Equal(*events[1].Email.ScheduledAt))
	require.True(t, at.Equal(*events[2].Email.ScheduledAt))
	require.Equal(t, e.ID, events[3].Email.EmailID)
	require.Equal(t, late.ID, events[5].Email.EmailID)
}

func TestEvents_OfTheDailyLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 10
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	var got []quota.Crossing
	for _, step := range []struct {
		recipients int
		percents   []int
	}{{7, nil}, {1, []int{80}}, {2, []int{90, 100}}, {1, nil}} {
		_ = b.try(noon, to(step.recipients))
		events := b.awaitEvents(len(got)+len(step.percents), string(event.QuotaWarning), string(event.QuotaReached))[len(got):]
		require.Len(t, events, len(step.percents))
		for i, e := range events {
			require.Nil(t, e.Email)
			require.Equal(t, step.percents[i], e.Quota.Percent)
			require.Equal(t, e.Quota.Percent == quota.Full, e.Type == event.QuotaReached)
			got = append(got, *e.Quota)
		}
	}
	require.Equal(t, quota.Crossing{Day: "2026-11-24", Percent: 80, Limit: 10, Used: 8, ResetsAt: midnight(1)}, got[0])
	require.Equal(t, 10, got[2].Used)

	b.setLimit(acme, 0)
	_ = b.try(noon.AddDate(0, 0, 1), to(1)) // nothing is accepted, and that is told of
	events := b.awaitEvents(2, string(event.QuotaReached))
	require.Len(t, events, 2)
	require.Equal(t, quota.Crossing{Day: "2026-11-25", Percent: 100, ResetsAt: midnight(2)}, *events[1].Quota)
}

// A reader that goes on behind the last event it got misses none, though transactions end in
// another order than they begin.
func TestEvents_CursorHasNoGaps(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	const writers, each = 8, 25
	var group sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		group.Go(func() {
			for i := range each {
				_, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, strconv.Itoa(w*each+i)+"@example.com")})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	slow, err := connect(t, b.url).Begin(t.Context()) // begins among the first, ends in the middle
	require.NoError(t, err)
	_, err = slow.Exec(t.Context(), `INSERT INTO events (tenant_id, type, data, created_at) VALUES ($1, 'slow', '{}', now())`, acme)
	require.NoError(t, err)
	read, last := map[uuid.UUID]bool{}, uuid.Nil
	slowRead := false
	require.Eventually(t, func() bool {
		events, err := b.ListEvents(t.Context(), acme, nil, last, 7)
		require.NoError(t, err)
		for _, e := range events {
			require.Greater(t, e.ID.String(), last.String())
			require.False(t, read[e.ID])
			read[e.ID], last, slowRead = true, e.ID, slowRead || e.Type == "slow"
		}
		if len(events) == 0 && slow != nil { // what came after the slow one waits for it
			require.NoError(t, slow.Commit(t.Context()))
			slow = nil
		}
		return len(read) == writers*each+1
	}, 30*time.Second, time.Millisecond)
	group.Wait()
	require.Empty(t, failed)
	require.True(t, slowRead)
}
