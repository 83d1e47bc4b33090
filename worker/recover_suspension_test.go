package worker_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

// A suspension whose workflow was not told is followed later; one that was changed just now is its request's.
func TestRecover_FollowsSuspensions(t *testing.T) {
	t.Parallel()
	url := testkit.DatabaseURL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for _, tenantID := range []string{"followed", "forgotten", "fresh"} {
		_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: tenantID, Name: tenantID, Domain: "acme.com"})
		require.NoError(t, err)
		require.NoError(t, s.ActivateTenant(t.Context(), tenantID))
		suspended, err := s.Suspend(t.Context(), tenantID, tenant.Operator, tenant.Flag{Since: time.Now(), Reason: "late"})
		require.NoError(t, err)
		if tenantID == "followed" {
			require.NoError(t, s.FollowSuspension(t.Context(), tenantID, suspended.Version))
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(t.Context(), `UPDATE tenants SET updated_at = now() + CASE id WHEN 'fresh' THEN 1 ELSE -1 END * interval '1 hour'`)
	require.NoError(t, err)
	temporal := &fakeTemporal{}
	log, _ := newLog()
	end := recovering(t, s, temporal, log)
	require.Eventually(t, func() bool { return len(temporal.started()) == 1 }, 20*time.Second, 10*time.Millisecond)
	end()
	require.Equal(t, []start{{flow.SuspendTenantID("forgotten") + " " + flow.SuspensionSignal, flow.ControlQueue, "forgotten"}}, temporal.started())
}
