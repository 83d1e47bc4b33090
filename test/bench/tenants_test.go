package bench

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// manyTenants are 10,000 tenants, each of which has used some of its day, has 10 recipients in the backlog, and some outcomes.
const manyTenants = `
INSERT INTO tenants (id, name, domain, status, settings, created_at)
	SELECT 'tenant-' || n, 'Tenant ' || n, 'tenant-' || n || '.example', 'active', '{"dailyLimit": 1000}', now() - n * interval '1 minute'
	FROM generate_series(1, 10000) n;
INSERT INTO daily_usage (tenant_id, day, reserved) SELECT id, (now() AT TIME ZONE 'UTC')::date, length(id) FROM tenants;
INSERT INTO dispatches (tenant_id, id, class, emails, run_id) SELECT id, gen_random_uuid(), 'transactional', 10, 'none' FROM tenants;
INSERT INTO emails (tenant_id, id, dispatch_id, subject, from_address, from_name, tags, metadata, trace_parent, class, usage_day, created_at)
	SELECT d.tenant_id, gen_random_uuid(), d.id, 'x', 'x', 'x', '{}', '{}', '', 'transactional', now(), now() - n * interval '1 minute'
	FROM dispatches d, generate_series(1, 10) n;
INSERT INTO recipients (tenant_id, id, email_id, position, kind, address, name)
	SELECT tenant_id, gen_random_uuid(), id, 0, 'to', 'ada@example.com', '' FROM emails;
INSERT INTO events (tenant_id, type, email_id, created_at)
	SELECT tenant_id, CASE WHEN random() < 0.1 THEN 'email.bounced' ELSE 'email.sent' END, id, now() FROM emails;
ANALYZE;`

// BenchmarkTenants reads pages of 50 of 10,000 tenants with a backlog, by each sort, beside a plain SELECT of 50 tenants.
func BenchmarkTenants(b *testing.B) {
	stack, _ := start(b)
	conn, err := pgx.Connect(b.Context(), stack.Database.URL("mailtura"))
	require.NoError(b, err)
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark's connection
	_, err = conn.Exec(b.Context(), manyTenants)
	require.NoError(b, err)
	for b.Loop() {
		began := time.Now()
		require.Eventually(b, func() bool {
			var made int
			err := conn.QueryRow(b.Context(), `SELECT count(*) FROM tenant_summaries WHERE backlog = 10 AND sent + bounced = 10`).Scan(&made)
			return err == nil && made == 10_000
		}, time.Minute, 20*time.Millisecond)
		b.ReportMetric(time.Since(began).Seconds(), "s-until-summarized")
		plain := median(func() {
			rows, err := conn.Query(b.Context(), `SELECT * FROM tenants ORDER BY created_at DESC, id DESC LIMIT 50`)
			require.NoError(b, err)
			rows.Close()
		})
		var worst time.Duration
		for _, sort := range []string{"createdAt", "name", "used", "backlog", "oldestWaiting", "bounceRate"} {
			took := median(func() { getPage(b, stack, "?limit=50&sort="+sort) })
			b.ReportMetric(float64(took.Microseconds())/1000, sort+"-p50-ms")
			worst = max(worst, took)
		}
		b.ReportMetric(float64(worst)/float64(plain), "×plain-select")
	}
}

func getPage(b *testing.B, stack *testkit.Stack, query string) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, stack.URL+"/api/v1/tenants"+query, http.NoBody)
	require.NoError(b, err)
	request.Header.Set("Authorization", "Bearer "+stack.Key)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(b, err)
	require.NoError(b, answer.Body.Close())
	require.Equal(b, http.StatusOK, answer.StatusCode)
}

// median is the time that something takes.
func median(do func()) time.Duration {
	took := make([]time.Duration, 50)
	for i := range took {
		start := time.Now()
		do()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)/2]
}
