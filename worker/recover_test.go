package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/temporalconn"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/worker"
)

// fakeTemporal starts workflows that end at once; err is what it answers instead.
type fakeTemporal struct {
	client.Client
	err error

	mu     sync.Mutex
	starts []start
}

type start struct{ id, queue, tenantID string }

func (f *fakeTemporal) ExecuteWorkflow(
	ctx context.Context, o client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, start{o.ID, o.TaskQueue, telemetry.Tenant(ctx)})
	return fakeRun{}, f.err
}

func (f *fakeTemporal) started() []start {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]start{}, f.starts...)
}

type fakeRun struct{ client.WorkflowRun }

func (fakeRun) GetRunID() string { return "run" }

func (fakeRun) Get(context.Context, any) error { return nil }

// logged counts what is logged.
type logged struct {
	slog.Handler
	records chan slog.Record
}

func newLog() (*slog.Logger, chan slog.Record) {
	h := &logged{Handler: slog.DiscardHandler, records: make(chan slog.Record, 100)}
	return slog.New(h), h.records
}

func (*logged) Enabled(context.Context, slog.Level) bool { return true }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.records <- r
	return nil
}

// leftBehind is a database with two tenants whose workflows were not started: "new" is to be set up, "leaving" to be deleted.
// Both are so old that their requests will not start them any more; "fresh" is not.
func leftBehind(t *testing.T) (*store.Store, store.Deletion) {
	t.Helper()
	url := testkit.DatabaseURL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for _, tenantID := range []string{"new", "leaving", "fresh", "fresh-leaving"} {
		_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: tenantID, Name: tenantID, Domain: "acme.com"})
		require.NoError(t, err)
	}
	deletion, err := s.BeginDeletion(t.Context(), "leaving", nil)
	require.NoError(t, err)
	_, err = s.BeginDeletion(t.Context(), "fresh-leaving", nil)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(t.Context(), `UPDATE tenants SET created_at = now() - interval '11 seconds' WHERE id IN ('new', 'leaving')`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `UPDATE tenant_deletions SET created_at = now() - interval '11 seconds' WHERE tenant_id = 'leaving'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `UPDATE tenants SET created_at = now() + interval '1 hour' WHERE id = 'fresh'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `UPDATE tenant_deletions SET created_at = now() + interval '1 hour' WHERE tenant_id = 'fresh-leaving'`)
	require.NoError(t, err)
	return s, deletion
}

// recovering runs Recover until the test ends it.
func recovering(t *testing.T, s *store.Store, c client.Client, log *slog.Logger) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		worker.Recover(ctx, s, flow.NewClient(c, nil), log)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func TestRecover_StartsWhatWasLeftBehind(t *testing.T) {
	t.Parallel()
	s, deletion := leftBehind(t)
	log, records := newLog()
	var temporal fakeTemporal
	end := recovering(t, s, &temporal, log)
	require.Eventually(t, func() bool {
		now, err := s.Deletion(t.Context(), deletion.ID)
		return err == nil && now.RunID == "run"
	}, 20*time.Second, 10*time.Millisecond)
	end()
	require.Equal(t, []start{
		{flow.ProvisionTenantID("new"), flow.ControlQueue, "new"}, {flow.DeleteTenantID("leaving", deletion.ID), flow.ControlQueue, "leaving"},
	}, temporal.started())
	require.Empty(t, records)
}

func TestRecover_ForgetsOldAnswers(t *testing.T) {
	t.Parallel()
	url := testkit.DatabaseURL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `INSERT INTO idempotency_keys (tenant_id, key, hash, status, location, body, created_at)
		SELECT '', age::text, sha256(''), 201, '', '', now() - age FROM unnest(ARRAY[interval '23 hours', interval '25 hours']) age`)
	require.NoError(t, err)
	log, records := newLog()
	end := recovering(t, s, &fakeTemporal{}, log)
	var keys []string
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `SELECT array_agg(key::text) FROM idempotency_keys`).Scan(&keys)
		return err == nil && len(keys) == 1
	}, 20*time.Second, 10*time.Millisecond)
	end()
	require.Equal(t, []string{"23:00:00"}, keys)
	require.Empty(t, records)
}

func TestRecover_TemporalIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	away, err := temporalconn.Lazy(temporalconn.Config{
		Address: l.Addr().String(), Namespace: flow.Namespace, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer away.Close()
	s, deletion := leftBehind(t)
	log, records := newLog()
	end := recovering(t, s, away, log)
	record := <-records
	require.Equal(t, slog.LevelWarn, record.Level)
	require.Equal(t, "life-cycle workflows are started later", record.Message)
	end()
	now, err := s.Deletion(t.Context(), deletion.ID)
	require.NoError(t, err)
	require.Empty(t, now.RunID)
}

// An outage is logged each time, and not the end; that a process stops is not logged as one.
func TestRecover_GoesOnUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{URL: "postgres://127.0.0.1:1/none"})
		require.NoError(t, err)
		s.Close() // so that it answers, with an error, without a network
		log, records := newLog()
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		start := time.Now()
		worker.Recover(ctx, s, flow.NewClient(&fakeTemporal{}, nil), log)
		require.Equal(t, 25*time.Second, time.Since(start))
		require.Len(t, records, 3) // at once, and after 10 s and 20 s
	})
}

func TestRecover_OneThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	s, deletion := leftBehind(t)
	broken := &fakeTemporal{err: errors.New("broken")}
	log, records := newLog()
	end := recovering(t, s, broken, log)
	<-records
	end()
	require.Len(t, broken.started(), 1, "the others would fail as well")

	temporal := &fakeTemporal{}
	end = recovering(t, s, temporal, log)
	require.Eventually(t, func() bool {
		now, err := s.Deletion(t.Context(), deletion.ID)
		return err == nil && now.RunID == "run"
	}, 20*time.Second, 10*time.Millisecond)
	end()
	require.Len(t, temporal.started(), 2)
}
