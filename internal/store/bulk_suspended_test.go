package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Nothing of a bulk send becomes emails while its tenant is suspended; a drain takes all of it.
func TestTakeChunk_OfASuspendedTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 600)
	b.suspend(tenant.Operator, "late", false)
	step := k.take(noonAhead)
	require.True(t, step.Stopped)
	require.Nil(t, step.Dispatch)
	require.Equal(t, store.BulkRunning, step.Status)
	require.Equal(t, 600, step.Left)
	running, err := b.RunningBulkSends(t.Context(), acme)
	require.NoError(t, err)
	require.Len(t, running, 1)

	_, err = b.Resume(t.Context(), acme, tenant.Suspenders...)
	require.NoError(t, err)
	b.suspend(tenant.Operator, "bye", true)
	for _, left := range []int{600, 600, 600} { // lines and recipients
		got, n, err := b.DrainTenant(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, left, n)
		require.Equal(t, tenant.Draining, got.Status)
		k.take(noonAhead)
	}
	b.exec(`UPDATE recipients SET status = 'sent'`)
	got, _, err := b.DrainTenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, tenant.Suspended, got.Status)
}

// An upload that is under way is refused from there on.
func TestAddBulkBatch_OfASuspendedTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	b.suspend(tenant.Operator, "late", false)
	_, err := b.AddBulkBatch(t.Context(), k.id, newEmail(acme), store.BulkBatch{Lines: []store.BulkLine{{}}}, noonAhead)
	requireFault(t, err, fault.Forbidden, "tenant_suspended")
}
