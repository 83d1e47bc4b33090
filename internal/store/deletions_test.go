package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func lasting(d time.Duration) *time.Duration { return &d }

// endGrace lets the grace of a tenant's deletion be over.
func (b *bundle) endGrace(tenantID string) {
	b.exec(`UPDATE tenant_deletions SET grace_ends_at = now() WHERE tenant_id = $1 AND status = 'scheduled'`, tenantID)
}

func TestBeginDeletion_WithGrace(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := b.fill(acme)
	before := b.count(acme)
	d, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
	require.NoError(t, err)
	require.Equal(t, store.DeletionScheduled, d.Status)
	require.WithinDuration(t, time.Now().Add(time.Hour), *d.GraceEndsAt, time.Minute)
	require.Nil(t, d.StartedAt)
	inGrace, err := b.InGrace(t.Context(), acme)
	require.NoError(t, err)
	require.True(t, inGrace)
	waits, err := b.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, d, waits, "the grace goes on")
	_, err = b.DeleteTenantRows(t.Context(), acme, d.ID, "emails", 10)
	requireFault(t, err, fault.Internal, "deletion_not_running")
	require.Equal(t, before, b.count(acme), "nothing is deleted in the grace")
	require.Equal(t, acme, e.TenantID)

	b.endGrace(acme)
	began, err := b.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, store.DeletionRunning, began.Status)
	recorded, err := b.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, began, recorded, "a retry changes nothing")
	inGrace, err = b.InGrace(t.Context(), acme)
	require.NoError(t, err)
	require.False(t, inGrace)
	_, _, err = b.RestoreTenant(t.Context(), acme)
	requireFault(t, err, fault.Conflict, "deletion_not_reversible")
}

func TestBeginDeletion_AGraceIsOnlyShortened(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
	require.NoError(t, err)
	for _, longer := range []*time.Duration{nil, lasting(2 * time.Hour)} {
		same, err := b.BeginDeletion(t.Context(), acme, longer)
		require.NoError(t, err)
		require.Equal(t, first, same)
	}
	shorter, err := b.BeginDeletion(t.Context(), acme, lasting(0))
	require.NoError(t, err)
	require.Equal(t, first.ID, shorter.ID)
	require.WithinDuration(t, time.Now(), *shorter.GraceEndsAt, time.Minute)
	running, err := b.EndGrace(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, store.DeletionRunning, running.Status)
	same, err := b.BeginDeletion(t.Context(), acme, lasting(time.Minute))
	require.NoError(t, err)
	require.Equal(t, running, same, "there is no return by a grace")
	acts, _, err := b.ListAuditEntries(t.Context(), store.AuditFilter{Action: string(audit.TenantDelete)}, "", 10)
	require.NoError(t, err)
	require.Len(t, acts, 2, "the deletion, and the shortening")
}

func TestRestoreTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	_, err := b.Suspend(t.Context(), other, tenant.Operator, tenant.Flag{Since: time.Now(), Reason: "unpaid"})
	require.NoError(t, err)
	for tenantID, status := range map[string]tenant.Status{acme: tenant.Active, other: tenant.Suspended} {
		was, err := b.Tenant(t.Context(), tenantID)
		require.NoError(t, err)
		d, err := b.BeginDeletion(t.Context(), tenantID, lasting(time.Hour))
		require.NoError(t, err)
		refusal := errors.New("not as it was")
		_, _, err = b.RestoreTenant(t.Context(), tenantID, func(tenant.Tenant) error { return refusal })
		require.ErrorIs(t, err, refusal)

		got, restored, err := b.RestoreTenant(t.Context(), tenantID)
		require.NoError(t, err)
		require.Equal(t, status, got.Status)
		require.Equal(t, was.Version+2, got.Version)
		require.Equal(t, was.Suspension, got.Suspension)
		require.Equal(t, d.ID, restored.ID)
		require.Equal(t, store.DeletionRestored, restored.Status)
		require.NotNil(t, restored.FinishedAt)
		ended, err := b.EndGrace(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, restored, ended, "its workflow finds that there is nothing to do")
		_, _, err = b.RestoreTenant(t.Context(), tenantID)
		requireFault(t, err, fault.Conflict, "tenant_not_deleting")
		again, err := b.BeginDeletion(t.Context(), tenantID, nil)
		require.NoError(t, err)
		require.NotEqual(t, d.ID, again.ID)
	}
	waiting, err := b.Unfollowed(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, waiting, "both are being deleted again")
	acts, _, err := b.ListAuditEntries(t.Context(), store.AuditFilter{Action: string(audit.TenantRestore)}, "", 10)
	require.NoError(t, err)
	require.Len(t, acts, 2)
	_, _, err = b.RestoreTenant(t.Context(), "nobody")
	requireFault(t, err, fault.NotFound, "tenant_not_found")
}

// What waited in the grace is woken by the workflow that follows a suspension, which a sweep starts when nobody else does.
func TestRestoreTenant_IsToBeFollowed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
	require.NoError(t, err)
	_, _, err = b.RestoreTenant(t.Context(), acme)
	require.NoError(t, err)
	waiting, err := b.Unfollowed(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []string{acme}, waiting)
}

// The end of the grace is the end, also while nobody is there to begin the deletion.
func TestRestoreTenant_TooLate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
	require.NoError(t, err)
	b.endGrace(acme)
	_, _, err = b.RestoreTenant(t.Context(), acme)
	requireFault(t, err, fault.Conflict, "deletion_not_reversible")
}

func TestListDeletions(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	var ids []string
	for range 3 {
		d, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
		require.NoError(t, err)
		_, _, err = b.RestoreTenant(t.Context(), acme)
		require.NoError(t, err)
		ids = append([]string{id.Deletion.Format(d.ID)}, ids...)
	}
	running, err := b.BeginDeletion(t.Context(), other, nil)
	require.NoError(t, err)
	list := func(f store.DeletionFilter) (got []string) {
		for _, items := range pages(t, func(after string) ([]store.Deletion, string, error) {
			return b.ListDeletions(t.Context(), f, after, 2)
		}) {
			for _, d := range items {
				got = append(got, id.Deletion.Format(d.ID))
			}
		}
		return got
	}
	theOther := id.Deletion.Format(running.ID)
	require.Equal(t, append([]string{theOther}, ids...), list(store.DeletionFilter{}), "newest first")
	require.Equal(t, ids, list(store.DeletionFilter{TenantID: acme}))
	require.Equal(t, []string{theOther}, list(store.DeletionFilter{Status: store.DeletionRunning}))
	require.Empty(t, list(store.DeletionFilter{TenantID: acme, Status: store.DeletionRunning}))
	_, _, err = b.ListDeletions(t.Context(), store.DeletionFilter{}, "?", 2)
	requireFault(t, err, fault.Invalid, "validation_failed")
}

// A deletion whose workflow was lost is found by the sweep, one that waits for the end of its grace is not.
func TestStale_Deletions(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	stale := func() (runs []string) {
		_, deletions, err := b.Stale(t.Context(), time.Now().Add(time.Minute))
		require.NoError(t, err)
		for _, d := range deletions {
			runs = append(runs, d.RunID)
		}
		return runs
	}
	d, err := b.BeginDeletion(t.Context(), acme, lasting(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{""}, stale(), "it was never started")
	require.NoError(t, b.SetDeletionRun(t.Context(), d.ID, "run"))
	require.Empty(t, stale())
	b.endGrace(acme)
	require.Equal(t, []string{"run"}, stale())
	_, err = b.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"run"}, stale())
	b.finishDeletion(acme, d.ID)
	require.Empty(t, stale())
}
