package activities_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

// recordingTransport remembers where the bytes of each message are.
type recordingTransport struct {
	activities.Transport

	mu       sync.Mutex
	messages map[*byte]int
}

func (r *recordingTransport) Send(ctx context.Context, env smtpout.Envelope, msg []byte) smtpout.Attempt {
	r.mu.Lock()
	r.messages[&msg[0]]++
	r.mu.Unlock()
	return r.Transport.Send(ctx, env, msg)
}

func TestDeliver_ComposesAnEmailOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	transport := &recordingTransport{Transport: b.Transport, messages: map[*byte]int{}}
	b.Transport = transport
	e := newEmail("a@example.com", "b@example.com", "c@example.com", "d@example.com")
	require.Equal(t, 4, b.deliver(b.dispatch(e)).Sent)
	require.Len(t, transport.messages, 1)
}

func TestDeliver_MessageThatCanNotBeMade(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	broken := newEmail("broken@example.com")
	broken.Content = email.Content{Text: "{{#if x}}", Variables: json.RawMessage(`{}`)}
	nothing := newEmail("nothing@example.com")
	nothing.Content = email.Content{Text: "{{#if x}}more{{/if}}", Variables: json.RawMessage(`{}`)}
	good := newEmail("good@example.com")

	result := b.deliver(b.dispatch(broken, nothing, good))

	require.Equal(t, [3]int{1, 2, 0}, [3]int{result.Sent, result.Failed, result.Open()})
	for _, e := range []email.Email{broken, nothing} {
		for _, r := range b.recipients(e) {
			require.Equal(t, email.Failed, r.Status)
			require.Equal(t, "compose", r.Reason)
			attempt := b.attempts(r.ID)[0]
			require.Equal(t, [2]string{"failed", "compose"}, [2]string{attempt.Verdict, attempt.Phase})
		}
	}
	require.Contains(t, b.recipients(broken)["broken@example.com"].Detail, "body.text: ")
	require.Equal(t, "The message could not be composed.", b.recipients(nothing)["nothing@example.com"].Detail)
}

func TestDeliver_OurTroubleWithAMessageIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	closed, err := template.NewEngine(template.Config{VMs: 1})
	require.NoError(t, err)
	closed.Close()
	whole := b.Templates
	b.Templates = closed
	e := newEmail("ada@example.com")
	e.Content = email.Content{Text: "Hi {{name}}", Variables: json.RawMessage(`{"name":"Ada"}`)}
	in := b.dispatch(e)
	before := time.Now()

	require.Equal(t, 1, b.deliver(in).Deferred)
	r := b.recipients(e)["ada@example.com"]
	require.Equal(t, email.Deferred, r.Status)
	require.Equal(t, "internal", r.Reason)
	require.Equal(t, "Rendering was interrupted; try again.", r.Detail)
	require.True(t, r.NextAttemptAt.After(before.Add(50*time.Second)))

	b.Templates = whole
	b.makeDue(e)
	require.Equal(t, 1, b.deliver(in).Sent)
}

func TestDeliver_RelayAway(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	b.Transport = newRelay(t, "smtp://"+listener.Addr().String())
	e := newEmail("ada@example.com")

	result := b.deliver(b.dispatch(e))

	require.Equal(t, 1, result.Deferred)
	require.False(t, result.NextAt.IsZero())
	r := b.recipients(e)["ada@example.com"]
	require.Equal(t, "network", r.Reason)
	require.Equal(t, "no answer from the mail server in phase connect", r.Detail)
	require.Zero(t, b.attempts(r.ID)[0].Code)
}

// downTransport can not reach any mail server from the first message on.
type downTransport struct{ downUntil time.Time }

func (d *downTransport) ReadyAt() time.Time { return d.downUntil }

func (d *downTransport) Send(context.Context, smtpout.Envelope, []byte) smtpout.Attempt {
	d.downUntil = time.Now().Add(time.Minute)
	return smtpout.Attempt{NotTried: true}
}

// Mail that no server was tried for has had no attempt: when there is one again, the schedule
// of its retries begins where it was.
func TestDeliver_RelayDownUsesUpNoAttempts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	whole, down := b.Transport, &downTransport{}
	e := newEmail("x+defer-once@example.com")
	in := b.dispatch(e)
	for range 3 {
		b.Transport, down.downUntil = down, time.Time{}
		result := b.deliver(in)
		require.Equal(t, [2]int{1, 0}, [2]int{result.Queued, result.Deferred})
		require.Equal(t, activities.ReasonTransport, result.Reason)
		require.Equal(t, down.downUntil.UnixMilli(), result.NextAt.UnixMilli())
		r := b.only(e)
		require.Equal(t, [2]string{string(email.Queued), email.MailServerDown}, [2]string{string(r.Status), r.Reason})
		require.Empty(t, b.attempts(r.ID))
	}
	b.Transport = whole
	before := time.Now()
	require.Equal(t, 1, b.deliver(in).Deferred)
	r := b.only(e)
	require.Equal(t, 1, r.Attempts)
	require.Less(t, r.NextAttemptAt.Sub(before), 2*time.Minute, "the first pause")
}

// slowTransport takes messages and answers when it is let.
type slowTransport struct {
	activities.Transport
	taken atomic.Int64
	let   chan struct{}
}

func (s *slowTransport) Send(ctx context.Context, env smtpout.Envelope, msg []byte) smtpout.Attempt {
	s.taken.Add(1)
	<-s.let
	return s.Transport.Send(ctx, env, msg)
}

// What a kill would hold of a tenant that lets nothing come twice is little more than what is
// in the hands of the mail server.
func TestDeliver_HoldRecordsFewAttemptsAhead(t *testing.T) {
	t.Parallel()
	for policy, recorded := range map[string]int{tenant.Resend: 60, tenant.Hold: 24} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, tenant.Settings{OnUnknownOutcome: policy})
			slow := &slowTransport{Transport: b.Transport, let: make(chan struct{})}
			b.Transport = slow
			emails := make([]email.Email, 60)
			for i := range emails {
				emails[i] = newEmail(fmt.Sprintf("r%d@example.com", i))
			}
			in := b.dispatch(emails...)
			result := make(chan activities.DeliverResult, 1)
			go func() { result <- b.deliver(in) }()
			require.Eventually(t, func() bool { return slow.taken.Load() == 16 && b.sending() == recorded }, 20*time.Second, 5*time.Millisecond)
			close(slow.let)
			require.Equal(t, 60, (<-result).Sent)
			require.Len(t, b.mails(), 60)
		})
	}
}

// startAttempt leaves a recipient as a crash in the midst of an attempt does.
func (b *bundle) startAttempt(in activities.DeliverInput) {
	b.t.Helper()
	due, err := b.Store.ListDue(b.t.Context(), acme, in.DispatchID, time.Now(), 100)
	require.NoError(b.t, err)
	numbers, err := b.Store.StartAttempts(b.t.Context(), acme, due, time.Now())
	require.NoError(b.t, err)
	require.Len(b.t, numbers, len(due))
}

// makeDue brings the next attempts of an email's recipients forward.
func (b *bundle) makeDue(e email.Email) {
	b.t.Helper()
	for _, r := range b.recipients(e) {
		b.exec(`UPDATE recipients SET next_attempt_at = now() WHERE id = $1 AND status = 'deferred'`, r.ID)
	}
}

func TestDeliver_SettlesCutOffAttempts(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]struct {
		status   email.Status
		verdicts []string
		mails    int
	}{
		tenant.Resend: {email.Sent, []string{"unknown", "accepted"}, 2},
		tenant.Hold:   {email.Unknown, []string{"unknown"}, 0},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, tenant.Settings{OnUnknownOutcome: policy})
			e := newEmail("ada@example.com", "bob@example.com")
			in := b.dispatch(e)
			b.startAttempt(in)

			result := b.deliver(in)

			require.Zero(t, result.Open())
			for _, r := range b.recipients(e) {
				require.Equal(t, want.status, r.Status)
				var verdicts []string
				for _, a := range b.attempts(r.ID) {
					require.NotNil(t, a.FinishedAt)
					verdicts = append(verdicts, a.Verdict)
				}
				require.Equal(t, want.verdicts, verdicts)
			}
			require.Len(t, b.mails(), want.mails)
			require.Equal(t, result, b.deliver(in), "once settled, always settled")
		})
	}
}

func TestDeliver_HoldsCutOffAndSendsTheRest(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{OnUnknownOutcome: tenant.Hold})
	cut, rest := newEmail("cut@example.com"), newEmail("rest@example.com")
	in := b.dispatch(cut, rest)
	b.exec(`UPDATE recipients SET status = 'sending', attempts = 1 WHERE email_id = $1`, cut.ID)

	result := b.deliver(in)

	require.Equal(t, [2]int{1, 1}, [2]int{result.Sent, result.Unknown})
	require.Equal(t, "cut_off", b.recipients(cut)["cut@example.com"].Reason)
}

func TestDeliver_TenantGone(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	in := b.dispatch(newEmail("ada@example.com"))
	_, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	require.Equal(t, activities.DeliverResult{TenantGone: true}, b.deliver(in), "deleting")
	in.TenantID = "nobody"
	require.Equal(t, activities.DeliverResult{TenantGone: true}, b.deliver(in), "not there")
	require.Empty(t, b.mails())
}

// In the grace of its deletion the mail of a tenant stays as it is; when the grace is over, nothing is left to wait for.
func TestDeliver_TenantInGrace(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("ada@example.com")
	in := b.dispatch(e)
	grace := time.Hour
	d, err := b.Store.BeginDeletion(t.Context(), acme, &grace)
	require.NoError(t, err)
	waits := b.deliver(in)
	require.False(t, waits.TenantGone)
	require.Equal(t, 1, waits.Queued)
	require.Empty(t, b.mails())
	require.Equal(t, email.Queued, b.recipients(e)["ada@example.com"].Status)

	_, _, err = b.Store.RestoreTenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, 1, b.deliver(in).Sent)
	_, err = b.Store.BeginDeletion(t.Context(), acme, &grace)
	require.NoError(t, err)
	b.exec(`UPDATE tenant_deletions SET grace_ends_at = now() WHERE status = 'scheduled'`)
	_, err = b.Store.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.False(t, b.deliver(in).TenantGone, "of the first deletion, which is over")
	var open store.Deletion
	open, err = b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	_, err = b.Store.EndGrace(t.Context(), open.ID)
	require.NoError(t, err)
	require.True(t, b.deliver(in).TenantGone)
}

func TestDeliver_DatabaseAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	in := b.dispatch(newEmail("ada@example.com"))
	var err error
	b.Store, err = store.Open(t.Context(), store.Config{URL: "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"})
	require.NoError(t, err)
	t.Cleanup(b.Store.Close)
	_, err = b.try(t.Context(), in)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "database_unavailable", failure.Type())
	require.False(t, failure.NonRetryable())
}

// lastTransport hands over, and then does something.
type lastTransport struct {
	activities.Transport
	then func()
}

func (l *lastTransport) Send(ctx context.Context, env smtpout.Envelope, msg []byte) smtpout.Attempt {
	defer l.then()
	return l.Transport.Send(ctx, env, msg)
}

// An outcome that is known is not forgotten because the database is restarted and, since
// Temporal is away as well, the context ends: the mail would be sent twice, or held.
func TestDeliver_WritesOutcomesAfterARestartOfTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.Transport = &lastTransport{b.Transport, func() {
		b.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		cancel()
	}}
	e := newEmail("ada@example.com")

	_, err := b.try(ctx, b.dispatch(e))

	require.ErrorContains(t, err, "canceled")
	r := b.recipients(e)["ada@example.com"]
	require.Equal(t, email.Sent, r.Status)
	require.Len(t, b.attempts(r.ID), 1)
	require.Equal(t, "accepted", b.attempts(r.ID)[0].Verdict)
}
