package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// only gives the only recipient of an email as it stands.
func (b *bundle) only(e email.Email) store.RecipientRecord {
	b.t.Helper()
	all := b.recipients(e)
	require.Len(b.t, all, 1)
	return all[e.Recipients[0].Address.Addr]
}

// age makes an email as old as an interval of PostgreSQL says.
func (b *bundle) age(e email.Email, interval string) {
	b.t.Helper()
	b.exec(`UPDATE emails SET created_at = created_at - $2::text::interval WHERE id = $1`, e.ID, interval)
}

// expire has an email be of no use any more.
func (b *bundle) expire(e email.Email) {
	b.t.Helper()
	b.exec(`UPDATE emails SET expires_at = now() - interval '1 second' WHERE id = $1`, e.ID)
}

func TestDeliver_ExpiredBeforeItsTurn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	late, good := newEmail("late@example.com"), newEmail("good@example.com")
	late.ExpiresAt, good.ExpiresAt = time.Now().Add(-time.Second), time.Now().Add(time.Hour)

	result := b.deliver(b.dispatch(late, good))

	require.Equal(t, activities.DeliverResult{Sent: 1, Expired: 1, Reason: activities.ReasonRetry}, result)
	require.Equal(t, email.Expired, b.only(late).Status)
	require.Zero(t, b.only(late).Attempts)
	require.Len(t, b.mails(), 1)
}

func TestDeliver_ExpiredBetweenAttempts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("x+defer-once@example.com")
	in := b.dispatch(e)
	require.Equal(t, 1, b.deliver(in).Deferred)
	b.expire(e)
	b.makeDue(e)

	result := b.deliver(in)

	require.Equal(t, [2]int{1, 0}, [2]int{result.Expired, result.Open()})
	r := b.only(e)
	require.Equal(t, email.Expired, r.Status)
	require.Nil(t, r.NextAttemptAt)
	require.Len(t, b.attempts(r.ID), 1)
	require.Empty(t, b.mails())
}

// Whether it arrived is not known; that it is too late to send it again is.
func TestDeliver_ExpiredAfterACutOff(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]email.Status{tenant.Resend: email.Expired, tenant.Hold: email.Unknown} {
		b := newBundle(t, tenant.Settings{OnUnknownOutcome: policy})
		e := newEmail("ada@example.com")
		in := b.dispatch(e)
		b.startAttempt(in)
		b.expire(e)
		require.Zero(t, b.deliver(in).Open())
		r := b.only(e)
		require.Equal(t, want, r.Status)
		require.Equal(t, "unknown", b.attempts(r.ID)[0].Verdict)
		require.Empty(t, b.mails())
	}
}

// How a refusal that is only temporary ends when there is no time for another attempt.
func TestDeliver_DeferredForTheLastTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age     string        // since it was accepted
		expires time.Duration // from now; 0: never
		want    email.Status
	}{
		"expires before the next attempt": {"0", 30 * time.Second, email.Expired},
		"expires after it":                {"0", 10 * time.Minute, email.Deferred},
		"72 hours are over":               {"72 hours", 0, email.Failed},
		"72 hours are over first":         {"72 hours", time.Hour, email.Failed},
		"72 hours are not over":           {"71 hours", 0, email.Deferred},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, tenant.Settings{})
			e := newEmail("x+defer@example.com")
			if c.expires > 0 {
				e.ExpiresAt = time.Now().Add(c.expires)
			}
			in := b.dispatch(e)
			b.age(e, c.age)
			b.deliver(in)
			r := b.only(e)
			require.Equal(t, c.want, r.Status)
			require.Equal(t, "greylisted", r.Reason, "what the last answer was")
			require.Equal(t, c.want == email.Deferred, r.NextAttemptAt != nil)
		})
	}
}

// The 72 hours are those in which it could be sent.
func TestDeliver_ScheduledLongAgo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("x+defer@example.com")
	in := b.dispatch(e)
	b.age(e, "100 hours")
	b.exec(`UPDATE emails SET scheduled_at = now() WHERE id = $1`, e.ID)
	require.Equal(t, 1, b.deliver(in).Deferred)
}

func TestDeliver_CancelledBeforeItsTurn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e, good := newEmail("ada@example.com", "bob@example.com"), newEmail("good@example.com")
	in := b.dispatch(e, good)
	_, err := b.Store.Cancel(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)

	result := b.deliver(in)

	require.Equal(t, [3]int{1, 2, 0}, [3]int{result.Sent, result.Cancelled, result.Open()})
	require.Len(t, b.mails(), 1)
}

func TestDeliver_LeavesWhatHasAnotherDispatch(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e, stays := newEmail("x+defer-once@example.com"), newEmail("y+defer@example.com")
	old := b.dispatch(e, stays)
	require.Equal(t, 2, b.deliver(old).Deferred)
	_, _, err := b.Store.Retry(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)

	result := b.deliver(old)

	require.Equal(t, [2]int{1, 0}, [2]int{result.Deferred, result.Queued}, "it does not wait for what is not its own")
	require.Len(t, b.attempts(b.only(e).ID), 1)
	again := b.deliver(b.claim(e))
	require.Equal(t, [2]int{1, 0}, [2]int{again.Sent, again.Open()})
	require.Equal(t, 2, b.only(e).Attempts)
	require.Len(t, b.mails(), 1)
}

func TestDeliver_RetryGetsAFresh72Hours(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("x+defer@example.com")
	in := b.dispatch(e)
	b.age(e, "73 hours")
	require.Equal(t, 1, b.deliver(in).Failed)
	_, _, err := b.Store.Retry(t.Context(), acme, e.ID, time.Now())
	require.NoError(t, err)
	require.Equal(t, 1, b.deliver(b.claim(e)).Deferred)
	require.Equal(t, 2, b.only(e).Attempts)
}

func TestDeliver_KeepsTheDialogue(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("x+bounce@example.com")
	e.Content.Text = "what the letter says"
	b.deliver(b.dispatch(e))
	story, err := b.Store.Story(t.Context(), acme, e.ID)
	require.NoError(t, err)
	attempts := story.Attempts[e.Recipients[0].ID]
	require.Len(t, attempts, 1)
	require.Contains(t, attempts[0].Dialogue, "x+bounce@example.com")
	require.Contains(t, attempts[0].Dialogue, "550")
	require.NotContains(t, attempts[0].Dialogue, "what the letter says")
}
