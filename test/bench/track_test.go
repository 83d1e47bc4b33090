package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/internal/track"
)

// BenchmarkTrackedPage measures what tracking adds to an email with 20 kB of HTML and 10
// links, beside rendering it.
func BenchmarkTrackedPage(b *testing.B) {
	engine, err := template.NewEngine(template.Config{VMs: 1, Timeout: 10 * time.Second})
	require.NoError(b, err)
	defer engine.Close()
	row := strings.Repeat("<p style=\"color:#333\">Lorem ipsum dolor sit amet, {{name}}.</p>\n", 30)
	source := template.Source{Subject: "s", HTML: "<html><body>" + strings.Repeat(row+`<a href="https://acme.com/p?a=1&amp;b={{name}}">go</a>`, 10) + "</body></html>", Text: "t"}
	rendered, err := engine.Render(b.Context(), "k", source, []byte(`{"name":"Ada"}`))
	require.NoError(b, err)
	signer := track.NewKeys([]byte("secret")).Of("acme-corp", 1)
	all, ada := track.Choice{Opens: true, Clicks: true, Base: "https://click.acme.com"}, uuid.New()
	const times = 500
	measure := func(do func()) float64 {
		began := time.Now()
		for range times {
			do()
		}
		return float64(time.Since(began).Microseconds()) / times
	}
	for b.Loop() {
		rendering := measure(func() {
			_, err := engine.Render(b.Context(), "k", source, []byte(`{"name":"Ada"}`))
			require.NoError(b, err)
		})
		tracking := measure(func() {
			track.Read(rendered.HTML, track.Options{Clicks: true, Base: all.Base}).Personal(signer, all, ada)
		})
		b.ReportMetric(float64(len(rendered.HTML)), "bytes")
		b.ReportMetric(tracking, "µs/track")
		b.ReportMetric(tracking/rendering, "×render")
	}
}

const (
	hitCallers = 256
	allHits    = 30_000
	hitRate    = 5000 // a second, beside sending
)

// BenchmarkHits measures how many clicks a second are recorded and answered, beside a
// handler that does next to nothing; and what 5,000 a second leave for sending.
func BenchmarkHits(b *testing.B) {
	stack, sink := start(b)
	client := newTenant(b, stack, "hits")
	sink.Reset(2 * batchSize)
	for range 2 {
		require.NoError(b, sendBatch(b.Context(), client, batchSize))
	}
	require.NoError(b, sink.Await(arrivesWithin))
	paths := clickPaths(b, stack, "hits")
	for b.Loop() {
		before := recordedHits(b, stack)
		account := readAccount(stack)
		hits := ask(b.Context(), b, stack, paths, allHits, 0)
		b.ReportMetric(hits, "hits/s")
		reportAccount(b, stack, account, allHits)
		require.Eventually(b, func() bool { return recordedHits(b, stack)-before == allHits }, time.Minute, 20*time.Millisecond, "none is lost")
		account = readAccount(stack)
		health := ask(b.Context(), b, stack, []string{"/healthz"}, allHits, 0)
		b.ReportMetric(account.total(stack)/allHits, "µs-cpu/health")
		b.ReportMetric(hits/health, "×emptyHandler")

		alone, _ := sendBeside(b, stack, sink, nil)
		beside, _ := sendBeside(b, stack, sink, []string{"/healthz"})
		tracked, rate := sendBeside(b, stack, sink, paths)
		b.ReportMetric(alone, "alone/s")
		b.ReportMetric(beside, "beside-health/s")
		b.ReportMetric(tracked, "beside-hits/s")
		b.ReportMetric(rate, "hits-beside/s")
		b.ReportMetric(tracked/beside, "×beside-health")
	}
}

// clickPaths are a link of each recipient of a tenant.
func clickPaths(b *testing.B, stack *testkit.Stack, tenantID string) (paths []string) {
	b.Helper()
	conn := connect(b, stack)
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark's connection
	var createdAt time.Time
	require.NoError(b, conn.QueryRow(b.Context(), `SELECT id, created_at FROM tenants WHERE name LIKE $1 || '-%'`, tenantID).Scan(&tenantID, &createdAt))
	rows, err := conn.Query(b.Context(), `SELECT id::text FROM recipients WHERE tenant_id = $1`, tenantID)
	require.NoError(b, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b, err)
	var secret []byte
	require.NoError(b, conn.QueryRow(b.Context(), `SELECT secret FROM installation_secrets WHERE name = 'tracking'`).Scan(&secret))
	signer := track.NewKeys(secret).Of(tenantID, track.Generation(createdAt))
	for _, text := range ids {
		paths = append(paths, "/t/c/"+signer.Click(uuid.MustParse(text), 0, "https://acme.com/offer?utm_source=mail&x=1"))
	}
	return paths
}

func connect(b *testing.B, stack *testkit.Stack) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), stack.Database.URL("mailtura"))
	require.NoError(b, err)
	return conn
}

func recordedHits(b *testing.B, stack *testkit.Stack) (n int) {
	b.Helper()
	conn := connect(b, stack)
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark's connection
	require.NoError(b, conn.QueryRow(b.Context(), `SELECT coalesce(sum(clicks + automated_clicks), 0) FROM engagements`).Scan(&n))
	return n
}

// ask asks for paths in turn, and gives how many a second were answered. perSecond 0: as
// many as are answered; count 0: until the context ends.
func ask(ctx context.Context, b *testing.B, stack *testkit.Stack, paths []string, count, perSecond int) float64 {
	b.Helper()
	var next, answered atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range hitCallers {
		group.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(stack.URL, "http://"))
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close() //nolint:errcheck // a benchmark's connection
			reader := bufio.NewReader(conn)
			for n := next.Add(1); (count == 0 || n <= int64(count)) && ctx.Err() == nil; n = next.Add(1) {
				if perSecond > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
				}
				if err := get(conn, reader, paths[n%int64(len(paths))]); err != nil {
					b.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	group.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds()
}

// get asks for a path with as little effort as possible, since it is paid by the same processors.
func get(conn net.Conn, reader *bufio.Reader, path string) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; rv:128.0) Firefox/128.0\r\n\r\n", path); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if closing := response.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && response.StatusCode != http.StatusFound && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return err
}

// sendBeside sends batches while paths are asked for at a rate; without any, alone.
func sendBeside(b *testing.B, stack *testkit.Stack, sink *testkit.Sink, paths []string) (delivered, asked float64) {
	b.Helper()
	client := newTenant(b, stack, "beside-"+id.New().String()[24:])
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	rate := make(chan float64, 1)
	if len(paths) > 0 {
		go func() { rate <- ask(ctx, b, stack, paths, 0, hitRate) }()
	} else {
		rate <- 0
	}
	sink.Reset(batches * batchSize)
	began := time.Now()
	inParallel(b, 4, batches, func(ctx context.Context) error { return sendBatch(ctx, client, batchSize) })
	require.NoError(b, sink.Await(arrivesWithin))
	delivered = batches * batchSize / time.Since(began).Seconds()
	stop()
	return delivered, <-rate
}
