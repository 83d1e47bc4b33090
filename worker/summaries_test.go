package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/worker"
)

// They are made at once, and it ends when it is to end.
func TestSummarize(t *testing.T) {
	t.Parallel()
	s := testkit.Store(t)
	_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: "acme-corp", Name: "Acme", Domain: "acme.com"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		worker.Summarize(ctx, s, slog.New(slog.DiscardHandler))
		close(ended)
	}()
	require.Eventually(t, func() bool {
		items, _, err := s.ListTenants(t.Context(), store.TenantQuery{Limit: 1})
		require.NoError(t, err)
		return items[0].Day != nil
	}, 30*time.Second, 20*time.Millisecond)
	cancel()
	<-ended
}
