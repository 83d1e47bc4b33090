package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// suspend sets a flag of acme-corp.
func (b *bundle) suspend(by tenant.Suspender, reason string, drain bool) tenant.Tenant {
	b.t.Helper()
	suspended, err := b.Suspend(b.t.Context(), acme, by, tenant.Flag{Since: time.Now(), Reason: reason, Drain: drain})
	require.NoError(b.t, err)
	return suspended
}

// acts are the actions of the audit log since the tenants were created, the newest first.
func (b *bundle) acts() (actions []audit.Action) {
	b.t.Helper()
	entries, _, err := b.ListAuditEntries(b.t.Context(), store.AuditFilter{TenantID: acme}, "", 100)
	require.NoError(b.t, err)
	for _, e := range entries {
		if e.Action != audit.TenantCreate {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

func TestSuspend_FencesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	suspended := b.suspend(tenant.Operator, "late", false)
	require.Equal(t, tenant.Suspended, suspended.Status)
	require.Equal(t, "late", suspended.Suspension.Operator.Reason)
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, suspended, got)

	receipts, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, "a@example.com"), newEmail(other, "b@example.com")})
	require.NoError(t, err)
	requireFault(t, receipts[0].Err, fault.Forbidden, "tenant_suspended")
	require.NoError(t, receipts[1].Err, "another tenant sends")

	again := b.suspend(tenant.Operator, "late", false)
	require.Equal(t, suspended, again, "nothing has changed")
	require.Equal(t, []audit.Action{audit.TenantSuspend}, b.acts())

	resumed, err := b.Resume(t.Context(), acme, tenant.Suspenders...)
	require.NoError(t, err)
	require.Equal(t, tenant.Active, resumed.Status)
	require.Equal(t, tenant.Suspension{}, resumed.Suspension)
	_, err = b.Resume(t.Context(), acme, tenant.Suspenders...)
	require.NoError(t, err)
	require.Equal(t, []audit.Action{audit.TenantResume, audit.TenantSuspend}, b.acts())
	b.accept(newEmail(acme, "a@example.com"))
}

func TestSuspend_TwoFlags(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.suspend(tenant.Guardrail, "7 % bounced", false)
	both := b.suspend(tenant.Operator, "late", false)
	require.NotNil(t, both.Suspension.Operator)
	require.Equal(t, "7 % bounced", both.Suspension.Guardrail.Reason)
	one, err := b.Resume(t.Context(), acme, tenant.Operator)
	require.NoError(t, err)
	require.Equal(t, tenant.Suspended, one.Status)
	none, err := b.Resume(t.Context(), acme, tenant.Guardrail)
	require.NoError(t, err)
	require.Equal(t, tenant.Active, none.Status)

	events := b.requireEvents(event.TenantSuspended, event.TenantSuspended, event.TenantResumed) // each, and the end of the last
	require.Equal(t, &store.EventTenant{By: tenant.Guardrail, Reason: "7 % bounced"}, events[0].Tenant)
	require.Equal(t, tenant.Operator, events[1].Tenant.By)
}

func TestSuspend_Refusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, change := range []func(string) error{
		func(id string) error {
			_, err := b.Suspend(t.Context(), id, tenant.Operator, tenant.Flag{})
			return err
		},
		func(id string) error {
			_, err := b.Resume(t.Context(), id, tenant.Suspenders...)
			return err
		},
	} {
		requireFault(t, change("nobody"), fault.NotFound, "tenant_not_found")
		b.exec(`UPDATE tenants SET status = 'deleting' WHERE id = $1`, acme)
		requireFault(t, change(acme), fault.Conflict, "tenant_deleting")
		b.exec(`UPDATE tenants SET status = 'active' WHERE id = $1`, acme)
	}
	require.Empty(t, b.acts())
	_, err := b.conn.Exec(t.Context(), `UPDATE tenants SET status = 'suspended' WHERE id = $1`, acme)
	require.ErrorContains(t, err, "tenants_suspension_flagged")
}

// What can be changed of a tenant can be while it is suspended, and its flags stay.
func TestSuspend_LeavesTheRestToChange(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	flags := b.suspend(tenant.Operator, "late", false).Suspension
	updated, err := b.UpdateTenant(t.Context(), acme, func(u *tenant.Tenant) error {
		u.Name = "New"
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, tenant.Suspended, updated.Status)
	require.Equal(t, flags, updated.Suspension)
	b.rehold(acme, time.Now())
	listed, _, err := b.ListTenants(t.Context(), store.TenantQuery{Status: tenant.Suspended, Limit: 10})
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, flags, listed[0].Suspension)
	_, err = b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err, "it can be deleted")
}

func TestDrainTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	queued, undispatched, later := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com"), newEmail(acme, "c@example.com")
	later.ScheduledAt = time.Now().Add(time.Hour)
	dispatch := b.dispatch(queued)
	b.accept(undispatched, later)
	b.dispatch(newEmail(other, "d@example.com"))
	require.Equal(t, tenant.Draining, b.suspend(tenant.Operator, "bye", true).Status)
	drain := func(status tenant.Status, left int) {
		t.Helper()
		got, n, err := b.DrainTenant(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, left, n)
		require.Equal(t, status, got.Status)
		now, err := b.Tenant(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, now, got)
	}
	drain(tenant.Draining, 2)
	released, err := b.Release(t.Context(), later.ScheduledAt.Add(time.Second), 10)
	require.NoError(t, err)
	require.Len(t, released, 1)
	drain(tenant.Draining, 2) // what has come due meanwhile waits
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = now() WHERE email_id = $1`, queued.ID)
	drain(tenant.Draining, 1) // what was tried waits as well
	b.exec(`UPDATE recipients SET status = 'sent' WHERE email_id = $1`, undispatched.ID)
	drain(tenant.Suspended, 0)
	drain(tenant.Suspended, 0)
	suspended, err := b.Suspended(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{acme}, suspended)
	open, err := b.ListOpenDispatches(t.Context(), acme, [16]byte{}, 10)
	require.NoError(t, err)
	require.Contains(t, open, dispatch)
	_, _, err = b.DrainTenant(t.Context(), "nobody")
	requireFault(t, err, fault.NotFound, "tenant_not_found")
}

// Whoever has followed an earlier state has not followed the present one.
func TestFollowSuspension(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	unfollowed := func(after time.Duration) []string {
		t.Helper()
		ids, err := b.Unfollowed(t.Context(), time.Now().Add(after))
		require.NoError(t, err)
		return ids
	}
	require.Empty(t, unfollowed(time.Minute))
	suspended := b.suspend(tenant.Operator, "late", false)
	require.Empty(t, unfollowed(-time.Minute), "its request may still do it")
	require.Equal(t, []string{acme}, unfollowed(time.Minute))
	resumed, err := b.Resume(t.Context(), acme, tenant.Suspenders...)
	require.NoError(t, err)
	require.NoError(t, b.FollowSuspension(t.Context(), acme, suspended.Version))
	require.Equal(t, []string{acme}, unfollowed(time.Minute))
	require.NoError(t, b.FollowSuspension(t.Context(), acme, resumed.Version))
	require.Empty(t, unfollowed(time.Minute))
}

// An attempt that was stopped has never been: the next one has its number.
func TestFinishAttempts_TakesBackWhatWasStopped(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	stopped, sent := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	dispatch := b.dispatch(stopped, sent)
	start := func() map[[16]byte]int {
		t.Helper()
		due, err := b.ListDue(t.Context(), acme, dispatch, time.Now(), 10)
		require.NoError(t, err)
		numbers, err := b.StartAttempts(t.Context(), acme, due, time.Now())
		require.NoError(t, err)
		all := map[[16]byte]int{}
		for id, n := range numbers {
			all[id] = n
		}
		return all
	}
	require.Len(t, start(), 2)
	outcomes := []store.Outcome{
		{RecipientID: stopped.Recipients[0].ID, Number: 1, Stopped: true, Reason: email.MailServerDown, Reply: "nobody answers"},
		{RecipientID: sent.Recipients[0].ID, Number: 1, FinishedAt: time.Now(), Verdict: "accepted", Status: email.Sent},
	}
	require.NoError(t, b.FinishAttempts(t.Context(), other, outcomes[:1]), "another tenant's is not found")
	require.Equal(t, email.Sending, b.recipient(stopped).Status)
	require.NoError(t, b.FinishAttempts(t.Context(), acme, outcomes))
	require.Equal(t, email.Sent, b.recipient(sent).Status)
	back := b.recipient(stopped)
	require.Equal(t, email.Queued, back.Status)
	require.Zero(t, back.Attempts)
	require.Equal(t, [2]string{email.MailServerDown, "nobody answers"}, [2]string{back.Reason, back.Detail})
	require.NoError(t, b.FinishAttempts(t.Context(), acme, outcomes[:1]), "once more changes nothing")
	require.Equal(t, map[[16]byte]int{stopped.Recipients[0].ID: 1}, start())
}
