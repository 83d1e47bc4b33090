package worker_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

// A domain that should have been looked at long ago has no workflow, and gets one; one that is due now has.
func TestRecover_StartsTheWorkflowsOfDomains(t *testing.T) {
	t.Parallel()
	url := testkit.DatabaseURL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.CreateTenant(t.Context(), tenant.Tenant{ID: "acme-corp", Name: "acme-corp", Domain: "acme.com"})
	require.NoError(t, err)
	require.NoError(t, s.ActivateTenant(t.Context(), "acme-corp"))
	forgotten := id.New()
	_, err = s.CreateDomain(t.Context(), "acme-corp", forgotten, "forgotten.acme.com", nil)
	require.NoError(t, err)
	_, err = s.CreateDomain(t.Context(), "acme-corp", id.New(), "due.acme.com", nil)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(t.Context(), `UPDATE domains SET check_at = now() + CASE id WHEN $1 THEN -1 ELSE 1 END * interval '1 minute'`, forgotten)
	require.NoError(t, err)
	temporal := &fakeTemporal{}
	log, _ := newLog()
	end := recovering(t, s, temporal, log)
	require.Eventually(t, func() bool { return len(temporal.started()) == 1 }, 20*time.Second, 10*time.Millisecond)
	end()
	require.Equal(t, []start{{flow.WatchDomainID("acme-corp", forgotten) + " " + flow.LookSignal, flow.ControlQueue, "acme-corp"}}, temporal.started())
}
