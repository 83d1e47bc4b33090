// Package testkit is what tests run on: real parts, started once for a test program and
// stopped with it. Production code must not import it.
package testkit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// server is the PostgreSQL of a test program, started when the first test asks for it.
type server struct {
	start sync.Once
	err   error
	dir   string
	pg    *postgres.Server
	// template is a migrated database that each test gets a copy of.
	template string
}

var shared server //nolint:gochecknoglobals // one for the test program; Main stops it

// Main runs a package's tests and stops what they started: call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	shared.stop()
	os.Exit(code)
}

// DatabaseURL is a new, migrated database of the test's own.
func DatabaseURL(t testing.TB) string {
	t.Helper()
	shared.start.Do(shared.run)
	require.NoError(t, shared.err)
	name := "t_" + id.New().String()
	conn, err := pgx.Connect(t.Context(), shared.pg.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // a test's connection
	// Its files are copied: PostgreSQL's own choice, block by block through its log, takes three times as long.
	_, err = conn.Exec(t.Context(), fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q STRATEGY file_copy`, name, shared.template))
	require.NoError(t, err)
	return shared.pg.URL(name)
}

// ServerURL is the URL of a database, which need not exist, on the test program's server.
func ServerURL(t testing.TB, database string) string {
	t.Helper()
	shared.start.Do(shared.run)
	require.NoError(t, shared.err)
	return shared.pg.URL(database)
}

// Store opens a store on a database of the test's own.
func Store(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: DatabaseURL(t), MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func (s *server) run() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.dir, s.err = os.MkdirTemp("", "mailtura-test-"); s.err != nil {
		return
	}
	if s.err = os.Chmod(s.dir, 0o755); s.err != nil { //nolint:gosec // PostgreSQL runs as another user below it
		return
	}
	s.pg, s.err = postgres.Start(ctx, postgres.Config{Dir: s.dir, Fast: true, Logger: slog.New(slog.DiscardHandler)})
	if s.err != nil {
		return
	}
	if s.err = s.rest(ctx); s.err != nil {
		return
	}
	s.template = "migrated"
	if s.err = s.pg.CreateDatabase(ctx, s.template); s.err != nil {
		return
	}
	_, s.err = store.Migrate(ctx, s.pg.URL(s.template))
}

// rest turns off what would go round hundreds of databases, each of which lives for a second.
func (s *server) rest(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.pg.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	if _, err := conn.Exec(ctx, `ALTER SYSTEM SET autovacuum = off`); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `SELECT pg_reload_conf()`)
	return err
}

func (s *server) stop() {
	if s.pg != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.pg.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "stop test database:", err)
		}
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
