package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const (
	batchPath = emailsPath + "/batch"
	hi        = `{"to":"a@example.com","subject":"Hi","text":"Hi"}`
	ho        = `{"to":"a@example.com","subject":"Ho","text":"Hi"}`
)

// once posts with an idempotency key.
func (b *bundle) once(path, key, idempotencyKey, body string, headers ...string) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, path, key, body, append([]string{"Idempotency-Key", idempotencyKey}, headers...)...)
}

// replays requires that an answer is another one given again.
func (a answer) replays(first answer) {
	a.t.Helper()
	require.Empty(a.t, first.Header.Get("Idempotency-Replayed"))
	require.Equal(a.t, "true", a.Header.Get("Idempotency-Replayed"), a.Body)
	require.Equal(a.t, first.Status, a.Status)
	require.Equal(a.t, first.Body, a.Body)
	for _, name := range []string{"Content-Type", "Location"} {
		require.Equal(a.t, first.Header.Get(name), a.Header.Get(name))
	}
}

func TestIdempotency_EveryCreation(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{run: func(client.StartWorkflowOptions) error { return nil }}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{FromEmail: "noreply@acme.com"})
	for path, tc := range map[string]struct {
		by, body, other string
		status          int
	}{
		emailsPath:            {key, hi, ho, http.StatusAccepted},
		batchPath:             {key, `{"emails":[` + hi + `,{"to":"x"},` + ho + `]}`, `{"emails":[` + hi + `]}`, http.StatusAccepted},
		templatesPath:         {key, `{"name":"a","text":"A"}`, `{"name":"b","text":"A"}`, http.StatusCreated},
		tenantsPath:           {b.operator, `{"name":"new","domain":"a.example"}`, `{"name":"newer","domain":"a.example"}`, http.StatusCreated},
		v1 + "/api-keys":      {key, `{"name":"a"}`, `{"name":"b"}`, http.StatusCreated},
		v1 + "/operator-keys": {b.operator, `{"name":"a"}`, `{"name":"b"}`, http.StatusCreated},
	} {
		first := b.once(path, tc.by, path, tc.body)
		require.Equal(t, tc.status, first.Status, "%s: %s", path, first.Body)
		list := strings.TrimSuffix(path, "/batch")
		before := b.ask(http.MethodGet, list, tc.by, nil).Body
		for range 2 {
			b.once(path, tc.by, path, tc.body).replays(first)
		}
		b.once(path, tc.by, path, tc.other).problem(http.StatusConflict, "idempotency_key_reused")
		require.Equal(t, before, b.ask(http.MethodGet, list, tc.by, nil).Body, "%s: nothing was created again", path)
	}
	require.Len(t, b.pending(), 3, "nor sent again")
	b.once(batchPath, key, emailsPath, hi).problem(http.StatusConflict, "idempotency_key_reused")
	b.once(emailsPath, key, templatesPath, hi).problem(http.StatusConflict, "idempotency_key_reused")
}

func TestIdempotency_WithoutKeyEveryRequestCounts(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for range 2 {
		a := b.once(emailsPath, key, "", hi)
		require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	}
	require.Len(t, b.pending(), 2)
	require.Empty(t, b.values(`SELECT key FROM idempotency_keys`))
}

func TestIdempotency_FormOfAKey(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, bad := range []string{strings.Repeat("k", 256), "a\tb", "schlüssel", "\x7f", "a\xff"} {
		require.Equal(t, []string{"header.Idempotency-Key invalid_value"}, b.once(emailsPath, key, bad, hi).fields(422, "validation_failed"))
	}
	require.Empty(t, b.pending())
	for _, good := range []string{strings.Repeat("k", 255), "0", "order 42/1; 'x' --", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`} {
		require.Equal(t, http.StatusAccepted, b.once(emailsPath, key, good, hi).Status)
	}
	require.Len(t, b.pending(), 4)
}

// However many ask at once with one key, one of them creates.
func TestIdempotency_InParallel(t *testing.T) {
	t.Parallel()
	for path, tc := range map[string]struct {
		body   string
		status int
	}{
		emailsPath:       {hi, http.StatusAccepted},
		batchPath:        {`{"emails":[` + hi + `]}`, http.StatusAccepted},
		v1 + "/api-keys": {`{"name":"mine"}`, http.StatusCreated},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b, key := newAcme(t, tenant.Settings{})
			answers := make([]answer, 20)
			var group sync.WaitGroup
			for i := range answers {
				r := b.request(http.MethodPost, path, key, tc.body)
				r.Header.Set("Idempotency-Key", "k")
				group.Go(func() { answers[i] = b.send(r) })
			}
			group.Wait()
			bodies := map[string]bool{}
			for _, a := range answers {
				if a.Status == http.StatusConflict {
					a.problem(http.StatusConflict, "idempotency_key_in_progress")
					require.Equal(t, "1", a.Header.Get("Retry-After"))
					continue
				}
				require.Equal(t, tc.status, a.Status, a.Body)
				bodies[a.Body] = true
			}
			require.Len(t, bodies, 1)
			require.LessOrEqual(t, len(b.pending()), 1)
			require.Len(t, b.values(`SELECT id::text FROM emails UNION ALL SELECT name FROM api_keys WHERE name = 'mine'`), 1)
		})
	}
}

// lockTenant keeps the database from accepting for acme-corp until release is called.
// waiting waits until so many transactions are kept up.
func (b *bundle) lockTenant() (waiting func(transactions int), release func()) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	tx, err := conn.Begin(b.t.Context())
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), `SELECT FROM tenants WHERE id = $1 FOR UPDATE`, acme)
	require.NoError(b.t, err)
	waiting = func(transactions int) {
		b.t.Helper()
		require.Eventually(b.t, func() bool {
			return len(b.values(`SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)) == transactions
		}, 30*time.Second, 10*time.Millisecond)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) })
	b.t.Cleanup(release)
	return waiting, release
}

// Two processes that get the same request at the same time do not know of each other: the
// database decides.
func TestIdempotency_TwoProcesses(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{emailsPath: hi, batchPath: `{"emails":[` + hi + `,` + ho + `]}`} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b, key := newAcme(t, tenant.Settings{})
			templates, err := engine()
			require.NoError(t, err)
			other := &bundle{Server: b.process(temporalAway(t), templates), t: t}
			waiting, release := b.lockTenant()
			answers := make([]answer, 2)
			var group sync.WaitGroup
			for i, process := range []*bundle{b, other} {
				r := process.request(http.MethodPost, path, key, body)
				r.Header.Set("Idempotency-Key", "k")
				group.Go(func() { answers[i] = process.send(r) })
			}
			waiting(2)
			release()
			group.Wait()
			first, second := answers[0], answers[1]
			if first.Status != http.StatusAccepted {
				first, second = second, first
			}
			require.Equal(t, http.StatusAccepted, first.Status, first.Body)
			second.problem(http.StatusConflict, "idempotency_key_in_progress")
			require.Len(t, b.values(`SELECT id::text FROM emails`), strings.Count(body, "subject"))
			for _, process := range []*bundle{b, other} {
				process.once(path, key, "k", body).replays(first)
			}
		})
	}
}

// A client that went away before the answer gets it when it comes back.
func TestIdempotency_ClientComesBack(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	waiting, release := b.lockTenant()
	ctx, cancel := context.WithCancel(t.Context())
	r := b.request(http.MethodPost, emailsPath, key, hi).WithContext(ctx)
	r.Header.Set("Idempotency-Key", "k")
	lost := make(chan answer)
	go func() { lost <- b.send(r) }()
	waiting(1)
	cancel()
	(<-lost).problem(http.StatusServiceUnavailable, "request_cancelled")
	release()
	require.Eventually(t, func() bool { return len(b.pending()) == 1 }, 30*time.Second, 10*time.Millisecond)

	again := b.once(emailsPath, key, "k", hi)
	require.Equal(t, http.StatusAccepted, again.Status, again.Body)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "Hi", b.email(key, read[apiserver.Accepted](again).ID).Subject)
	require.Len(t, b.pending(), 1)
}

// What was refused has created nothing, and can be tried again, also with another body.
func TestIdempotency_RefusalIsNotKept(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(0)})
	b.once(emailsPath, key, "k", `{"to":"nonsense","subject":"Hi","text":"Hi"}`).problem(422, "validation_failed")
	b.once(emailsPath, key, "k", `{`).problem(http.StatusBadRequest, "malformed_request")
	b.once(emailsPath, key, "k", strings.Repeat("x", 26<<20+1)).problem(http.StatusRequestEntityTooLarge, "body_too_large")
	b.once(emailsPath, key, "k", hi).problem(http.StatusTooManyRequests, "daily_limit_reached")
	for _, batch := range []string{`{"emails":[{"to":"x"}]}`, `{"emails":[` + hi + `]}`} {
		a := b.once(batchPath, key, "k", batch)
		require.Equal(t, http.StatusAccepted, a.Status, a.Body)
		require.Zero(t, read[apiserver.BatchAccepted](a).Accepted)
	}
	b.patch(`{"settings":{"dailyLimit":5}}`)
	first := b.once(emailsPath, key, "k", hi)
	require.Equal(t, http.StatusAccepted, first.Status, first.Body)
	b.once(emailsPath, key, "k", hi).replays(first)

	b.template(key, `{"name":"taken","text":"x"}`)
	b.once(templatesPath, key, "t", `{"name":"taken","text":"x"}`).problem(http.StatusConflict, "template_exists")
	require.Equal(t, http.StatusCreated, b.once(templatesPath, key, "t", `{"name":"free","text":"x"}`).Status)
}

func TestIdempotency_ForADay(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	first := b.once(emailsPath, key, "k", hi)
	b.exec(`UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'`)
	b.once(emailsPath, key, "k", hi).replays(first)
	b.exec(`UPDATE idempotency_keys SET created_at = now() - interval '24 hours'`)
	second := b.once(emailsPath, key, "k", ho)
	require.Equal(t, http.StatusAccepted, second.Status, second.Body)
	require.Empty(t, second.Header.Get("Idempotency-Replayed"))
	require.Len(t, b.pending(), 2)
	b.once(emailsPath, key, "k", ho).replays(second)

	third := b.once(templatesPath, key, "t", `{"name":"a","text":"x"}`)
	b.exec(`UPDATE idempotency_keys SET created_at = now() - interval '24 hours'`)
	require.Equal(t, http.StatusCreated, third.Status, third.Body)
	again := b.once(templatesPath, key, "t", `{"name":"b","text":"x"}`)
	require.Equal(t, http.StatusCreated, again.Status, again.Body)
	b.once(templatesPath, key, "t", `{"name":"b","text":"x"}`).replays(again)
}

// A key is one tenant's, whoever speaks for it; operators have a scope of their own.
func TestIdempotency_Scopes(t *testing.T) {
	t.Parallel()
	b := newBundleOn(t, &fakeTemporal{run: func(client.StartWorkflowOptions) error { return nil }})
	key := b.tenant(acme, tenant.Settings{FromEmail: "noreply@acme.com"})
	theirs := b.tenant("other", tenant.Settings{FromEmail: "noreply@acme.com"})
	first := b.once(emailsPath, key, "k", hi)
	require.Equal(t, http.StatusAccepted, first.Status, first.Body)
	other := b.once(emailsPath, theirs, "k", hi)
	require.Equal(t, http.StatusAccepted, other.Status, other.Body)
	require.Empty(t, other.Header.Get("Idempotency-Replayed"))
	require.NotEqual(t, first.Body, other.Body)
	require.Equal(t, http.StatusAccepted, b.once(emailsPath, theirs, "k2", ho).Status)

	b.once(emailsPath, b.key(acme), "k", hi).replays(first)
	b.once(emailsPath, b.operator, "k", hi, "X-Tenant-ID", acme).replays(first)
	b.once(emailsPath, theirs, "k", hi).replays(other)

	const body = `{"name":"new","domain":"a.example"}`
	made := b.once(tenantsPath, b.operator, "k", body)
	require.Equal(t, http.StatusCreated, made.Status, made.Body)
	second := b.newKey(v1+"/operator-keys", b.operator, "second")
	b.once(tenantsPath, second.Key, "k", body).replays(made)
	b.once(v1+"/operator-keys", b.operator, "k", `{"name":"x"}`).problem(http.StatusConflict, "idempotency_key_reused")
	b.once(tenantsPath, key, "k", body).problem(http.StatusForbidden, "operator_required")
}

// The answer with a new key is kept so that only who has asked for it can read it.
func TestIdempotency_SecretIsSealed(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, by := range map[string]string{v1 + "/api-keys": key, v1 + "/operator-keys": b.operator} {
		first := b.once(path, by, path, `{"name":"a"}`)
		made := read[apiserver.NewAPIKey](first)
		b.once(path, by, path, `{"name":"a"}`).replays(first)
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, path, made.Key, nil).Status, "it works")

		colleague := b.newKey(path, by, "colleague").Key
		b.once(path, colleague, path, `{"name":"a"}`).problem(http.StatusConflict, "idempotency_key_reused")
		kept := b.values(`SELECT encode(body, 'escape') FROM idempotency_keys WHERE key = $1`, path)
		require.Len(t, kept, 1)
		for _, word := range []string{made.Key, made.Key[len(made.Key)/2:], made.ID, `"name"`} {
			require.NotContains(t, kept[0], word)
		}
	}
	b.once(v1+"/api-keys", b.operator, v1+"/api-keys", `{"name":"a"}`, "X-Tenant-ID", acme).problem(http.StatusConflict, "idempotency_key_reused")
	email := b.once(emailsPath, key, "k", hi)
	require.Equal(t, []string{strings.ReplaceAll(email.Body, `\`, `\\`)},
		b.values(`SELECT encode(body, 'escape') FROM idempotency_keys WHERE key = 'k'`), "what is no secret is kept as it is")
}
