package worker_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

// A bulk send whose workflow was not started gets it, and an upload whose process is gone is cancelled.
func TestRecover_BulkSends(t *testing.T) {
	t.Parallel()
	url := testkit.DatabaseURL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.CreateTenant(t.Context(), tenant.Tenant{ID: "acme", Name: "acme", Domain: "acme.com"})
	require.NoError(t, err)
	require.NoError(t, s.ActivateTenant(t.Context(), "acme"))
	upload := func() uuid.UUID {
		bulkID, shared := id.New(), email.Email{TenantID: "acme", Class: email.Bulk}
		require.NoError(t, s.CreateBulkSend(t.Context(), bulkID, "", "", shared, time.Now()))
		_, err := s.AddBulkBatch(t.Context(), bulkID, shared, store.BulkBatch{
			Lines: []store.BulkLine{{Number: 2, To: address.Address{Addr: "a@example.com"}}},
		}, time.Now())
		require.NoError(t, err)
		return bulkID
	}
	left, cutOff, fresh := upload(), upload(), upload()
	_, err = s.CompleteBulkSend(t.Context(), "acme", left, nil, time.Now())
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(t.Context(), `UPDATE bulk_sends SET progressed_at = now() - interval '11 minutes' WHERE id = ANY($1)`,
		[]uuid.UUID{left, cutOff})
	require.NoError(t, err)

	log, records := newLog()
	var temporal fakeTemporal
	end := recovering(t, s, &temporal, log)
	status := func(bulkID uuid.UUID) store.BulkSend {
		b, err := s.BulkSend(t.Context(), "acme", bulkID)
		require.NoError(t, err)
		return b
	}
	require.Eventually(t, func() bool {
		return status(left).RunID == "run" && status(cutOff).Status == store.BulkCancelled
	}, 20*time.Second, 10*time.Millisecond)
	end()
	require.Equal(t, []start{{flow.BulkSendWorkflowID("acme", left), flow.ControlQueue, "acme"}}, temporal.started())
	require.Equal(t, store.BulkUploading, status(fresh).Status)
	require.Empty(t, records)
}
