package store_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestTenant_AsCreated(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 500
	created, err := b.CreateTenant(t.Context(), tenant.Tenant{
		ID: acme, Name: "Acme Corp", Domain: "acme.com", Settings: tenant.Settings{DailyLimit: &limit, Timezone: "Europe/Berlin"},
	})
	require.NoError(t, err)
	require.Equal(t, tenant.Provisioning, created.Status)
	require.EqualValues(t, 1, created.Version)
	require.WithinDuration(t, time.Now(), created.CreatedAt, time.Minute)
	require.Equal(t, created.CreatedAt, created.UpdatedAt)

	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, created, got)
	require.Equal(t, 500, *got.Settings.DailyLimit)
	require.Equal(t, "Europe/Berlin", got.Settings.Timezone)
}

func TestTenant_Refusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: "Another", Domain: "another.com"})
	requireFault(t, err, fault.Conflict, "tenant_exists")
	_, err = b.Tenant(t.Context(), "nobody")
	f := requireFault(t, err, fault.NotFound, "tenant_not_found")
	require.Contains(t, f.Detail, `"nobody"`)
	_, err = b.UpdateTenant(t.Context(), "nobody", func(*tenant.Tenant) error { return nil })
	requireFault(t, err, fault.NotFound, "tenant_not_found")
	_, err = b.CreateTenant(t.Context(), tenant.Tenant{ID: "Not A Slug", Name: "x", Domain: "x.com"})
	require.Error(t, err, "the database keeps the rule too")
}

func TestUpdateTenant_ChangesAndCounts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	before, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	weight := 7
	updated, err := b.UpdateTenant(t.Context(), acme, func(u *tenant.Tenant) error {
		require.Equal(t, before, *u)
		u.Name, u.Domain, u.Settings.Weight = "New", "new.com", &weight
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, before.Version+1, updated.Version)
	require.True(t, updated.UpdatedAt.After(before.UpdatedAt))
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, updated, got)
	require.Equal(t, "New", got.Name)
	require.Equal(t, 7, *got.Settings.Weight)
	untouched, err := b.Tenant(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, other, untouched.Name)
}

func TestUpdateTenant_RefusedChangeLeavesItAsItWas(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	before, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	refusal := fault.New(fault.PreconditionFailed, "version_mismatch", "no")
	_, err = b.UpdateTenant(t.Context(), acme, func(u *tenant.Tenant) error {
		u.Name = "New"
		return refusal
	})
	require.ErrorIs(t, err, refusal)
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, before, got)
}

// A change is made of what is there, so none of those that are made at once gets lost.
func TestUpdateTenant_OneAtATime(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.exec(`UPDATE tenants SET name = '0'`)
	require.NoError(t, inParallel(10, func(int) error {
		_, err := b.UpdateTenant(t.Context(), acme, func(u *tenant.Tenant) error {
			n, err := strconv.Atoi(u.Name)
			u.Name = strconv.Itoa(n + 1)
			return err
		})
		return err
	}))
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, "10", got.Name)
}

func TestActivateTenant_OnlyOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, tenant.Active, first.Status)
	require.NoError(t, b.ActivateTenant(t.Context(), acme))
	second, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.NoError(t, b.ActivateTenant(t.Context(), "nobody"), "deleted meanwhile")
}

func TestTenant_UnreadableSettings(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.exec(`UPDATE tenants SET settings = '{"weight": "heavy"}'`)
	_, err := b.Tenant(t.Context(), acme)
	requireFault(t, err, fault.Internal, "settings_unreadable")
	_, _, err = b.ListTenants(t.Context(), store.TenantQuery{Limit: 10})
	requireFault(t, err, fault.Internal, "settings_unreadable")
}

func TestStale_OfLifeCycles(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: "fresh", Name: "Fresh", Domain: "fresh.com"})
	require.NoError(t, err)
	deletion, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	started, err := b.BeginDeletion(t.Context(), other, nil)
	require.NoError(t, err)
	require.NoError(t, b.SetDeletionRun(t.Context(), started.ID, "run"))

	provisioning, deletions, err := b.Stale(t.Context(), time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.Empty(t, provisioning, "it may still start by itself")
	require.Empty(t, deletions)

	provisioning, deletions, err = b.Stale(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []string{"fresh"}, provisioning)
	require.Equal(t, []store.Deletion{
		{ID: deletion.ID, TenantID: acme}, {ID: started.ID, TenantID: other, RunID: "run"}, // which may be lost
	}, deletions)
}

// More refusals than there are connections: each gives its connection and its lock back.
func TestUpdateTenant_ErrorReleasesTheLock(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	refusal := errors.New("no")
	for range 20 {
		_, err := b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return refusal })
		require.ErrorIs(t, err, refusal)
	}
	_, err := b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return nil })
	require.NoError(t, err)
}
