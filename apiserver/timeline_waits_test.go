package apiserver_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// minute is a time of the tests, in minutes of an hour that is over.
func minute(n int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour + time.Duration(n)*time.Minute)
}

// suspendedFrom has acme-corp been suspended.
func (b *bundle) suspendedFrom(from, to int) {
	b.t.Helper()
	b.exec(`INSERT INTO events (tenant_id, type, data, created_at) VALUES ($1, 'tenant.suspended', '{}', $2)`, acme, minute(from))
	b.exec(`INSERT INTO events (tenant_id, type, data, created_at) VALUES ($1, 'tenant.suspended', '{}', $2)`, acme, minute(from+1)) // by a guardrail too
	b.exec(`INSERT INTO events (tenant_id, type, data, created_at) VALUES ($1, 'tenant.resumed', '{}', $2)`, acme, minute(to))
}

// waits are the waits of a timeline in minutes: "turn 0-10".
func (b *bundle) waits(key, emailID string) (all [][]any) {
	b.t.Helper()
	number := func(at *time.Time) any {
		if at == nil {
			return nil
		}
		return int(at.Sub(minute(0)).Minutes())
	}
	for _, e := range b.timeline(key, emailID).Entries {
		switch e.Type {
		case "wait":
			all = append(all, []any{e.Reason, number(&e.At), number(e.Until)})
		case "attempt", "expired":
			all = append(all, []any{e.Type, number(&e.At)})
		}
	}
	return all
}

// A suspension that is over is told of where an email waited for its end, and nowhere else.
func TestTimeline_PastSuspensions(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, hi)
	b.exec(`UPDATE emails SET created_at = $1`, minute(0))
	b.suspendedFrom(10, 20)
	require.Equal(t, [][]any{{"dispatch", 0, 10}, {"tenant_suspended", 10, 20}, {"dispatch", 20, nil}}, b.waits(key, made.ID))
	b.dispatch(acme, id.New(), "run-1", emailUUID(t, made.ID))
	require.Equal(t, []any{"turn", 20, nil}, b.waits(key, made.ID)[2])
	b.attempt(minute(21))
	first := [][]any{{"turn", 0, 10}, {"tenant_suspended", 10, 20}, {"turn", 20, 21}, {"attempt", 21}}
	require.Equal(t, first, b.waits(key, made.ID))

	// It is tried again at 30. Suspensions before, and one that it was drained in, held it up as little as another tenant's.
	b.exec(`UPDATE attempts SET finished_at = started_at + interval '1 minute', verdict = 'deferred'`)
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = $1`, minute(30))
	b.exec(`INSERT INTO events (tenant_id, type, email_id, recipient_id, attempt, data, created_at)
		SELECT tenant_id, 'email.deferred', email_id, id, 1, jsonb_build_object('nextAttemptAt', $1::timestamptz), $2 FROM recipients`, minute(30), minute(22))
	b.suspendedFrom(23, 27)
	b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	b.exec(`INSERT INTO events (tenant_id, type, created_at) VALUES ('other', 'tenant.suspended', $1), ('other', 'tenant.resumed', $2)`, minute(29), minute(33))
	require.Equal(t, append(first, []any{"retry", 22, 30}), b.waits(key, made.ID))
	b.suspendedFrom(28, 34)
	require.Equal(t, append(first, []any{"retry", 22, 30}, []any{"tenant_suspended", 30, 34}, []any{"turn", 34, nil}), b.waits(key, made.ID))
	b.attempt(minute(36))
	second := append(first, []any{"retry", 22, 30}, []any{"tenant_suspended", 30, 34}, []any{"turn", 34, 36}, []any{"attempt", 36})
	require.Equal(t, second, b.waits(key, made.ID))
	b.suspendedFrom(35, 40)
	require.Equal(t, second, b.waits(key, made.ID))

	b.exec(`UPDATE attempts SET finished_at = started_at, verdict = 'deferred' WHERE number = 2`)
	b.suspendedFrom(50, 70)
	b.exec(`UPDATE recipients SET status = 'expired', updated_at = $1`, minute(60))
	require.Equal(t, append(second, []any{"tenant_suspended", 36, 40}, []any{"tenant_suspended", 50, 60}, []any{"expired", 60}), b.waits(key, made.ID))
}

// A scheduled email waits for its time first, and then for the end of the suspension.
func TestTimeline_ScheduledIntoASuspension(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, at("x", in(100), none))
	b.exec(`UPDATE emails SET created_at = $1, scheduled_at = $2, release_at = NULL`, minute(0), minute(15))
	b.exec(`UPDATE recipients SET status = 'queued'`)
	b.suspendedFrom(2, 5)
	b.suspendedFrom(10, 20)
	require.Equal(t, [][]any{{"scheduled", 0, 15}, {"tenant_suspended", 15, 20}, {"dispatch", 20, nil}}, b.waits(key, made.ID))
	b.suspend(`{"reason":"again"}`)
	waits := b.waits(key, made.ID)
	require.Equal(t, []any{"tenant_suspended", waits[2][2], nil}, waits[3])
	require.NotNil(t, waits[2][2])
}
