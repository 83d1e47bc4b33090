package apiserver_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// listening is another process, which remembers for longer than a test takes.
func (b *bundle) listening() *bundle {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), store.Config{URL: b.url, MaxConns: 4})
	require.NoError(b.t, err)
	b.t.Cleanup(s.Close)
	other := &bundle{t: b.t, url: b.url, store: s, log: b.log, operator: b.operator}
	other.Server = other.process(temporalAway(b.t), nil, func(cfg *apiserver.Config) { cfg.Remember = time.Hour })
	ctx, stop := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); other.Listen(ctx) }()
	b.t.Cleanup(func() { stop(); <-done })
	require.Eventually(b.t, func() bool { return len(b.listeners()) == 1 }, 10*time.Second, 10*time.Millisecond)
	return other
}

// listeners are the connections that listen, each as its process number.
func (b *bundle) listeners() []string {
	return b.values(`SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND query IN ('LISTEN mailtura_known', ';', '-- ping')`)
}

// What one process changes, another one that remembers it forgets at once.
func TestKnown_ChangesByAnotherProcess(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	other := b.listening()
	made := b.newKey(keysPath, first, "by SQL")
	heeds := func(key string, status int, change func()) {
		t.Helper()
		require.Equal(t, 200, other.ask(http.MethodGet, emailsPath, key, nil).Status)
		change()
		require.Eventually(t, func() bool { return other.ask(http.MethodGet, emailsPath, key, nil).Status == status }, 20*time.Second, 10*time.Millisecond)
	}
	heeds(made.Key, 403, func() { b.exec(`UPDATE api_keys SET scopes = '{keys:read}' WHERE name = 'by SQL'`) })
	made = b.newKey(keysPath, first, "revoked")
	heeds(made.Key, 401, func() { b.ask(http.MethodDelete, keysPath+"/"+made.ID, first, nil) })
	made = b.newKey(keysPath, first, "rotated")
	heeds(made.Key, 401, func() { b.ask(http.MethodPost, keysPath+"/"+made.ID+"/rotate", first, `{"overlap":"0s"}`) })
	heeds(first, 401, func() { b.ask(http.MethodDelete, tenantsPath+"/acme-corp", b.operator, nil) })
}

// A process that has lost its listener asks again every half second, and listens again.
func TestKnown_WhileNotHeard(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	other := b.listening()
	require.Equal(t, 200, other.ask(http.MethodGet, emailsPath, first, nil).Status)
	lost := b.listeners()
	b.exec(`UPDATE api_keys SET name = 'quiet'`) // tells nobody
	b.exec(`ALTER TABLE api_keys DISABLE TRIGGER api_keys_forget; UPDATE api_keys SET revoked_at = now() WHERE tenant_id IS NOT NULL`)
	require.Equal(t, 200, other.ask(http.MethodGet, emailsPath, first, nil).Status, "it has not heard of it")
	b.exec(`SELECT pg_terminate_backend($1)`, lost[0])
	require.Eventually(t, func() bool { return other.ask(http.MethodGet, emailsPath, first, nil).Status == 401 }, 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { now := b.listeners(); return len(now) == 1 && now[0] != lost[0] }, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, b.log.String(), "are not heard of")
}

// A database that hangs is unavailable like one that is away: nobody waits for it for ever.
func TestKnown_DatabaseHangs(t *testing.T) {
	t.Parallel()
	for _, remember := range []time.Duration{0, time.Hour} {
		b, key := newAcme(t, tenant.Settings{})
		b.Server = b.process(temporalAway(t), nil, func(cfg *apiserver.Config) {
			cfg.Remember, cfg.Patience = remember, apiserver.Patience{Database: 100 * time.Millisecond}
		})
		conn, err := pgx.Connect(t.Context(), b.url)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE api_keys, tenants`)
		require.NoError(t, err)
		a := b.ask(http.MethodGet, emailsPath, key, nil)
		a.problem(http.StatusServiceUnavailable, "database_unavailable")
		require.Equal(t, "1", a.Header.Get("Retry-After"))
		require.NoError(t, conn.Close(t.Context()))
		require.Eventually(t, func() bool { return b.ask(http.MethodGet, emailsPath, key, nil).Status == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
	}
}
