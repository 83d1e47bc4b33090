package activities_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/tenant"
)

// suspend sets the operator's flag of the tenant.
func (b *bundle) suspend(drain bool) {
	b.t.Helper()
	_, err := b.Store.Suspend(b.t.Context(), acme, tenant.Operator, tenant.Flag{Since: time.Now(), Reason: "late", Drain: drain})
	require.NoError(b.t, err)
}

func (b *bundle) resume() {
	b.t.Helper()
	_, err := b.Store.Resume(b.t.Context(), acme, tenant.Suspenders...)
	require.NoError(b.t, err)
}

// Nothing of a suspended tenant is tried; what waits is sent after the end of the suspension, and what has expired is not.
func TestDeliver_SuspendedTenantWaits(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	waits, expires := newEmail("ada@example.com"), newEmail("eve@example.com")
	expires.ExpiresAt = time.Now().Add(time.Hour)
	in := b.dispatch(waits, expires)
	b.suspend(false)
	for _, inline := range []bool{true, false} {
		in.Inline = inline
		result := b.deliver(in)
		require.Equal(t, 2, result.Queued)
		require.Equal(t, activities.ReasonSuspended, result.Reason)
		require.WithinDuration(t, time.Now().Add(time.Hour), result.NextAt, time.Minute)
		require.False(t, result.More)
	}
	require.Empty(t, b.mails())
	b.exec(`UPDATE emails SET expires_at = now() WHERE id = $1`, expires.ID)
	b.resume()
	result := b.deliver(in)
	require.Equal(t, 1, result.Sent)
	require.Equal(t, 1, result.Expired)
	require.Equal(t, 1, b.recipients(waits)["ada@example.com"].Attempts)
	require.Zero(t, b.recipients(expires)["eve@example.com"].Attempts)
}

// What was cut off by the end of a worker is settled also while the tenant is suspended, and waits like the rest.
func TestDeliver_SuspendedTenantHasNothingUnderWay(t *testing.T) {
	t.Parallel()
	for choice, status := range map[string]email.Status{tenant.Resend: email.Queued, tenant.Hold: email.Unknown} {
		b := newBundle(t, tenant.Settings{OnUnknownOutcome: choice})
		cut := newEmail("ada@example.com")
		in := b.dispatch(cut)
		due, err := b.Store.ListDue(t.Context(), acme, in.DispatchID, time.Now(), 10)
		require.NoError(t, err)
		_, err = b.Store.StartAttempts(t.Context(), acme, due, time.Now())
		require.NoError(t, err)
		b.suspend(false)
		b.deliver(in)
		require.Equal(t, status, b.recipients(cut)["ada@example.com"].Status)
		require.Empty(t, b.mails())
	}
}

func TestDeliver_DrainingTenantSends(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	in := b.dispatch(newEmail("ada@example.com"))
	b.suspend(true)
	require.Equal(t, 1, b.deliver(in).Sent)
}

// suspending is a mail server at which the tenant is suspended with the first message.
type suspending struct {
	activities.Transport
	suspend func()
	taken   atomic.Int32
}

func (s *suspending) Send(ctx context.Context, env smtpout.Envelope, msg []byte) smtpout.Attempt {
	if s.taken.Add(1) == 1 {
		s.suspend()
	}
	return s.Transport.Send(ctx, env, msg)
}

// A delivery that is under way when the tenant is suspended ends with what it has in its hands, and the rest was never tried.
func TestDeliver_FenceStopsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.Fence, b.Turns = &activities.Fence{}, activities.NewTurns(1)
	server := &suspending{Transport: b.Transport, suspend: func() {
		b.suspend(false)
		require.NoError(t, b.Fence.Look(t.Context(), b.Store))
	}}
	b.Transport = server
	emails := make([]email.Email, 30)
	for i := range emails {
		emails[i] = newEmail("ada@example.com")
	}
	in := b.dispatch(emails...)
	began := time.Now()
	result := b.deliver(in)
	require.Equal(t, 1, result.Sent)
	require.Equal(t, 29, result.Queued)
	require.Equal(t, activities.ReasonSuspended, result.Reason)
	require.WithinRange(t, result.NextAt, began, time.Now().Add(time.Second), "it looks whether the tenant was resumed meanwhile")
	require.EqualValues(t, 1, server.taken.Load())
	tried := 0
	for _, e := range emails {
		r := b.recipients(e)["ada@example.com"]
		tried += r.Attempts
		require.Len(t, b.attempts(r.ID), r.Attempts)
	}
	require.Equal(t, 1, tried, "no attempt is used up")

	b.resume()
	require.Zero(t, b.deliver(in).Sent-1, "the fence is not as new as the tenant: nothing is lost by it")
	require.NoError(t, b.Fence.Look(t.Context(), b.Store))
	require.Equal(t, 30, b.deliver(in).Sent)
	require.EqualValues(t, 30, server.taken.Load())
}

func TestFence_Watch(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.Fence = &activities.Fence{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		b.Fence.Watch(ctx, b.Store, slog.New(slog.DiscardHandler))
		close(ended)
	}()
	in := b.dispatch(newEmail("ada@example.com"))
	b.suspend(false)
	require.Eventually(t, func() bool { return b.Fence.Stops(acme) }, time.Minute, 10*time.Millisecond)
	require.Equal(t, 1, b.deliver(in).Queued)
	b.resume()
	require.Eventually(t, func() bool { return !b.Fence.Stops(acme) }, time.Minute, 10*time.Millisecond)
	require.Equal(t, 1, b.deliver(in).Sent)
	cancel()
	<-ended
}

// told takes signals to bulk sends.
type told struct {
	client.Client
	err  error
	sent []string
}

func (f *told) SignalWorkflow(_ context.Context, workflowID, _, signal string, _ any) error {
	f.sent = append(f.sent, workflowID+" "+signal)
	return f.err
}

func TestSuspensionActivities(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	signals := &told{}
	l := &activities.Lifecycle{Store: b.Store, Flow: flow.NewClient(signals, nil)}
	run := func(activity, in, out any) error {
		value, err := newActivityEnvironment(t, l).ExecuteActivity(activity, in)
		if err == nil && out != nil {
			require.NoError(t, value.Get(out))
		}
		return err
	}
	in := b.dispatch(newEmail("ada@example.com"))
	b.suspend(true)
	var at activities.DrainTenantResult
	require.NoError(t, run(l.DrainTenant, activities.DrainTenantInput{TenantID: acme}, &at))
	require.Equal(t, "draining", at.Status)
	require.Equal(t, 1, at.Left)
	b.deliver(in)
	require.NoError(t, run(l.DrainTenant, activities.DrainTenantInput{TenantID: acme}, &at))
	require.Equal(t, "suspended", at.Status)
	require.NoError(t, run(l.FollowSuspension, activities.FollowSuspensionInput{TenantID: acme, Version: at.Version}, nil))
	unfollowed, err := b.Store.Unfollowed(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, unfollowed)
	require.NoError(t, run(l.DrainTenant, activities.DrainTenantInput{TenantID: "nobody"}, &at))
	require.Equal(t, activities.DrainTenantResult{}, at, "it was deleted meanwhile")

	running, paused := id.New(), id.New()
	for bulkSend, status := range map[any]string{running: "running", paused: "paused"} {
		b.exec(`INSERT INTO bulk_sends (tenant_id, id, name, status, class, shared, created_at, progressed_at)
			VALUES ($1, $2, '', $3, 'bulk', '', now(), now())`, acme, bulkSend, status)
	}
	require.NoError(t, run(l.WakeBulkSends, activities.WakeBulkSendsInput{TenantID: acme}, nil))
	require.Equal(t, []string{flow.BulkSendWorkflowID(acme, running) + " " + flow.ResumeSignal}, signals.sent)
	signals.err = serviceerror.NewUnavailable("away")
	require.ErrorContains(t, run(l.WakeBulkSends, activities.WakeBulkSendsInput{TenantID: acme}, nil), "temporal_unavailable")
}
