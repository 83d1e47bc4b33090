package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// BenchmarkMetrics measures GET /metrics of a tenant with 10 million events in 90 days, all
// rolled up: 20 templates, 10 tags, 150 domains, each with events in every quarter of an hour.
func BenchmarkMetrics(b *testing.B) {
	stack, err := testkit.NewStack(b.TempDir())
	require.NoError(b, err)
	b.Cleanup(stack.Stop)
	api, err := stack.Launch("apiserver", "MAILTURA_LOG_LEVEL=warn")
	require.NoError(b, err)
	b.Cleanup(api.Stop)
	served = api
	client, err := mailtura.NewClientWithResponses(stack.URL, mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+stack.Key)
		return nil
	}))
	require.NoError(b, err)
	_, err = client.CreateTenantWithResponse(b.Context(), nil, mailtura.CreateTenant{Name: "acme", Domain: "acme.com"})
	require.NoError(b, err)
	makeMetrics(b, stack, "acme")
	for _, query := range []string{
		"interval=day", "interval=total", "interval=total&groupBy=template", "interval=total&groupBy=tag", "interval=total&groupBy=domain",
		"interval=day&groupBy=template", "interval=day&groupBy=domain", "interval=day&groupBy=domain&format=csv", "interval=hour&from=2026-03-01",
		"interval=hour&groupBy=domain&from=2026-03-27T21:00:00Z",
	} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				measureMetrics(b, stack, query)
			}
		})
	}
}

func makeMetrics(b *testing.B, stack *testkit.Stack, tenantID string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), stack.Database.URL("mailtura"))
	require.NoError(b, err)
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark's connection
	for grain, step := range map[string]string{"quarter": "15 minutes", "hour": "1 hour", "day": "1 day"} {
		for dimension, keys := range map[string]int{"total": 1, "template": 20, "tag": 10, "domain": 150} {
			share := 10_000_000 / 90 / keys / 2 / map[string]int{"day": 1, "hour": 24, "quarter": 96}[grain] // accepted and sent
			_, err := conn.Exec(b.Context(), fmt.Sprintf(`INSERT INTO metrics (tenant_id, dimension, grain, at, key, accepted, sent)
				SELECT '%s', '%s', '%s', at, CASE WHEN '%s' = 'total' THEN '' ELSE 'key-' || k END, %d + k, %d
				FROM generate_series('2026-01-01Z'::timestamptz, '2026-03-31T23:59Z', '%s') at, generate_series(1, %d) k`,
				tenantID, dimension, grain, dimension, share, share, step, keys))
			require.NoError(b, err)
		}
	}
	_, err = conn.Exec(b.Context(), `INSERT INTO metric_cursors VALUES ($1, '00000000-0000-0000-0000-000000000000', 'UTC')`, tenantID)
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), `VACUUM ANALYZE metrics`)
	require.NoError(b, err)
}

func measureMetrics(b *testing.B, stack *testkit.Stack, query string) {
	b.Helper()
	const requests = 50
	times := make([]time.Duration, requests)
	url := stack.URL + "/api/v1/metrics?to=2026-03-31&" + query
	if !strings.Contains(query, "from=") {
		url += "&from=2026-01-01"
	}
	var size int64
	account := readAccount(stack)
	for i := range times {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		require.NoError(b, err)
		r.Header.Set("Authorization", "Bearer "+stack.Key)
		r.Header.Set("X-Tenant-ID", "acme")
		began := time.Now()
		answer, err := http.DefaultClient.Do(r)
		require.NoError(b, err)
		size, err = io.Copy(io.Discard, answer.Body)
		require.NoError(b, err)
		require.NoError(b, answer.Body.Close())
		times[i] = time.Since(began)
		require.Equal(b, http.StatusOK, answer.StatusCode)
	}
	now := readAccount(stack)
	for part, used := range map[string]time.Duration{"api": now["mailtura"] - account["mailtura"], "postgres": now["postgres-mailtura"] - account["postgres-mailtura"]} {
		b.ReportMetric(float64(used.Microseconds())/1000/requests, "ms-cpu:"+part)
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[requests/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[requests-2].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(size)/1000, "kB")
}
