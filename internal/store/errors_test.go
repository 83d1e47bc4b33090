package store_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// requireUnavailable requires that every way into the database says that it is away, and that trying again may help.
func requireUnavailable(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, query := s.Tenant(ctx, acme)
	_, inTenant := s.Template(ctx, acme, "welcome")
	_, inSystem := acceptAt(ctx, s, time.Now(), []email.Email{newEmail(acme, "ada@example.com")})
	for _, err := range []error{query, inTenant, inSystem, s.Ready(ctx)} {
		f := requireFault(t, err, fault.Unavailable, "database_unavailable")
		require.NotContains(t, f.Detail, "127.0.0.1", "the cause is private")
	}
}

func TestUnavailable_ServerStopped(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "mailtura-test-") //nolint:usetesting // PostgreSQL runs as another user below it
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	server, err := postgres.Start(t.Context(), postgres.Config{Dir: dir, Fast: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = store.Migrate(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	s := open(t, server.URL("postgres"))
	require.NoError(t, s.Ready(t.Context()))
	_, err = s.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: acme, Domain: "acme.com"})
	require.NoError(t, err)

	require.NoError(t, server.Stop(t.Context()))
	requireUnavailable(t, s) // on connections that were open
	requireUnavailable(t, s) // on new ones
}

func TestUnavailable_PoolClosed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.Close()
	requireUnavailable(t, b.Store)
}

// An operator, or a server that shuts down, ends a statement that is under way.
func TestUnavailable_ConnectionTerminated(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	tx, err := connect(t, b.url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM tenants WHERE id = $1 FOR UPDATE`, acme)
	require.NoError(t, err)
	answer := make(chan error, 1)
	go func() {
		_, err := b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return nil })
		answer <- err
	}()
	require.True(t, ask[bool](b, `SELECT pg_terminate_backend($1)`, b.awaitLock()))
	requireFault(t, <-answer, fault.Unavailable, "database_unavailable")
	require.NoError(t, tx.Rollback(t.Context()))
	_, err = b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return nil })
	require.NoError(t, err, "the next one is served")
}

// Who gives up is not told that the database is away.
func TestCancelled_IsNotUnavailable(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Tenant(ctx, acme)
	require.ErrorIs(t, err, context.Canceled)
	require.NotEqual(t, fault.Unavailable, fault.KindOf(err))
}

func TestUnavailable_TimeOut(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	tx, err := connect(t, b.url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK tenants IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = b.Tenant(ctx, acme)
	requireFault(t, err, fault.Unavailable, "database_unavailable")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestOpen_BadURL(t *testing.T) {
	t.Parallel()
	_, err := store.Open(t.Context(), store.Config{URL: "postgres://user:sesame@host:port/db"})
	require.ErrorContains(t, err, "read database URL")
	require.NotContains(t, err.Error(), "sesame")
}
