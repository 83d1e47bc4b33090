package bench

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// largeTenant has 1,000,000 recipients that were sent to, each in an email of its own, with an attempt and two events.
const largeTenant = `
INSERT INTO tenants (id, name, domain, status) VALUES ('large', 'Large', 'large.example', 'active');
INSERT INTO dispatches (tenant_id, id, class, emails, run_id, finished_at)
	SELECT 'large', gen_random_uuid(), 'transactional', 500, 'none', now() FROM generate_series(1, 2000);
INSERT INTO emails (tenant_id, id, subject, from_address, from_name, tags, metadata, trace_parent, class, usage_day, release_at, created_at)
	SELECT 'large', gen_random_uuid(), 'x', 'x', 'x', '{}', '{}', '', 'transactional', now(), '9999-12-31', now()
	FROM generate_series(1, 1000000) n;
INSERT INTO email_contents (tenant_id, email_id, content) SELECT tenant_id, id, repeat('x', 200)::bytea FROM emails WHERE tenant_id = 'large';
INSERT INTO recipients (tenant_id, id, email_id, position, kind, address, name, status, attempts)
	SELECT tenant_id, gen_random_uuid(), id, 0, 'to', 'ada@example.com', '', 'sent', 1 FROM emails WHERE tenant_id = 'large';
INSERT INTO attempts (tenant_id, recipient_id, number, started_at, finished_at, verdict)
	SELECT tenant_id, id, 1, now(), now(), 'accepted' FROM recipients WHERE tenant_id = 'large';
INSERT INTO events (tenant_id, type, email_id, created_at)
	SELECT tenant_id, type, id, now() FROM emails, unnest('{email.accepted,email.sent}'::text[]) type WHERE tenant_id = 'large';
`

// BenchmarkDeletion deletes a tenant with 1,000,000 recipients while another one sends, beside the same without the deletion.
func BenchmarkDeletion(b *testing.B) {
	stack, sink := start(b)
	conn, err := pgx.Connect(b.Context(), stack.Database.URL("mailtura"))
	require.NoError(b, err)
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark's connection
	for b.Loop() {
		_, err = conn.PgConn().Exec(b.Context(), largeTenant).ReadAll()
		require.NoError(b, err)
		_, err = conn.Exec(b.Context(), "VACUUM ANALYZE")
		require.NoError(b, err)
		client := newTenant(b, stack, "sender")
		measure := func() (p99, perSecond float64) {
			accept, _ := paced(b, client, sink, 50, 1000)
			sink.Reset(sendTogether)
			began := time.Now()
			inParallel(b, callers, sendTogether, func(ctx context.Context) error { _, err := sendOne(ctx, client); return err })
			require.NoError(b, sink.Await(arrivesWithin))
			return ms(accept, 0.99), sendTogether / time.Since(began).Seconds()
		}
		measure() // warms up
		p99, rate := measure()
		began := time.Now()
		deletion := askDeletion(b, stack, http.MethodDelete, "/tenants/large")
		now := func() shownDeletion {
			return askDeletion(b, stack, http.MethodGet, "/tenant-deletions/"+deletion.ID)
		}
		completed := func() bool { return now().Status == "completed" }
		require.Eventually(b, func() bool { return now().Progress["recipients"].Deleted > 0 }, 2*time.Minute, 100*time.Millisecond)
		from, at := time.Now(), now().Progress["recipients"].Deleted
		duringP99, duringRate := measure()
		b.ReportMetric(float64(now().Progress["recipients"].Deleted-at)/time.Since(from).Seconds(), "recipients-deleted/s-meanwhile")
		require.False(b, completed(), "it has ended before the measurement")
		require.Eventually(b, completed, 20*time.Minute, time.Second)
		took := time.Since(began)
		b.ReportMetric(p99, "accept-p99-ms-before")
		b.ReportMetric(duringP99, "accept-p99-ms")
		b.ReportMetric(duringP99/p99, "×p99")
		b.ReportMetric(rate, "sent/s-before")
		b.ReportMetric(duringRate, "sent/s")
		b.ReportMetric(duringRate/rate, "×rate")
		b.ReportMetric(took.Seconds(), "s-until-deleted")
	}
}

// sendTogether is how many emails are sent as fast as that goes.
const sendTogether = 3000

type shownDeletion struct {
	ID, Status string
	Progress   map[string]struct{ Deleted int64 }
}

func askDeletion(b *testing.B, stack *testkit.Stack, method, path string) (d shownDeletion) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), method, stack.URL+"/api/v1"+path, http.NoBody)
	require.NoError(b, err)
	request.Header.Set("Authorization", "Bearer "+stack.Key)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	defer answer.Body.Close() //nolint:errcheck // was only read
	raw, err := io.ReadAll(answer.Body)
	require.NoError(b, err)
	require.Less(b, answer.StatusCode, 300, string(raw))
	require.NoError(b, json.Unmarshal(raw, &d))
	return d
}
