// Package bench measures the product against baselines of the same run, on the same
// machine: only the ratios mean something. ./task bench runs it; docs/performance.md has
// figures and what they mean.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

const (
	emails  = 5000
	callers = 50

	arrivesWithin = 5 * time.Minute
	recipient     = "ada@example.com" // of all of them
)

// text is a body of 4 kB.
var text = strings.Repeat("The engine can arrange and combine its numerical quantities exactly.\r\n", 60)

// BenchmarkSend sends single emails of 4 kB through the API from 50 callers to an SMTP
// sink, beside an empty workflow on the same Temporal.
func BenchmarkSend(b *testing.B) {
	stack, sink := start(b)
	for b.Loop() {
		account := readAccount(stack)
		empty := emptyWorkflows(b, stack)
		b.ReportMetric(account.total(stack)/empties, "µs-cpu/emptyWorkflow")
		postfix := postfixPerSecond(b, sink)
		m := sendAll(b, stack, sink)
		m.emptyPerSecond, m.postfixPerSecond = empty, postfix
		m.report(b)
	}
}

// served is API and worker of the benchmark that runs.
var served *testkit.Process //nolint:gochecknoglobals // benchmarks run one after the other

func start(b *testing.B, env ...string) (*testkit.Stack, *testkit.Sink) {
	b.Helper()
	stack, err := testkit.NewStack(b.TempDir())
	require.NoError(b, err)
	b.Cleanup(stack.Stop)
	s, err := testkit.StartSink(0)
	require.NoError(b, err)
	b.Cleanup(s.Close)
	served, err = stack.Launch("serve", append(env, "MAILTURA_SMTP_RELAY=smtp://"+s.Address, "MAILTURA_LOG_LEVEL=warn")...)
	require.NoError(b, err)
	b.Cleanup(served.Stop)
	return stack, s
}

// measurement is what a run came to.
type measurement struct {
	accept, endToEnd     []time.Duration
	acceptedIn, allIn    time.Duration
	workflows            int
	emptyPerSecond       float64
	postfixPerSecond     float64 // 0: not measured
	transactionsPerEmail float64
}

func sendAll(b *testing.B, stack *testkit.Stack, sink *testkit.Sink) measurement {
	b.Helper()
	client := newTenant(b, stack, "single")
	before := transactions(b, stack)
	sink.Reset(emails)
	account := readAccount(stack)
	var m measurement
	var mu sync.Mutex
	sent := make(map[string]time.Time, emails)
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range callers {
		group.Go(func() {
			for next.Add(1) <= emails {
				start := time.Now()
				id, err := sendOne(b.Context(), client)
				if err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				sent[id] = start
				m.accept = append(m.accept, time.Since(start))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m.acceptedIn = time.Since(began)
	require.NoError(b, sink.Await(arrivesWithin))
	m.allIn = time.Since(began)
	reportAccount(b, stack, account, emails)
	for mail, at := range sink.Arrivals() {
		m.endToEnd = append(m.endToEnd, at[0].Sub(sent[mail.ID]))
	}
	require.Len(b, m.endToEnd, emails, "each email arrived once")
	m.workflows = dispatches(b, stack)
	m.transactionsPerEmail = float64(transactions(b, stack)-before) / emails
	return m
}

func newTenant(b *testing.B, stack *testkit.Stack, name string) *mailtura.ClientWithResponses {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	with := func(key, tenant string) *mailtura.ClientWithResponses {
		c, err := mailtura.NewClientWithResponses(stack.URL, mailtura.WithHTTPClient(&http.Client{Transport: transport}),
			mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
				r.Header.Set("Authorization", "Bearer "+key)
				if tenant != "" {
					r.Header.Set("X-Tenant-ID", tenant)
				}
				return nil
			}))
		require.NoError(b, err)
		return c
	}
	from := "noreply@acme.com"
	name = fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
	created, err := with(stack.Key, "").CreateTenantWithResponse(b.Context(), nil, mailtura.CreateTenant{Name: name, Domain: "acme.com", Settings: &mailtura.Settings{FromEmail: &from}})
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, created.StatusCode(), string(created.Body))
	key, err := with(stack.Key, name).CreateApiKeyWithResponse(b.Context(), nil, mailtura.CreateAPIKey{Name: "bench"})
	require.NoError(b, err)
	return with(key.JSON201.Key, "")
}

func newEmail() mailtura.SendEmail {
	var to mailtura.SendEmail_To
	_ = to.FromSendEmailTo0(recipient) // a string can always be encoded
	subject := "Your order"
	return mailtura.SendEmail{To: to, Subject: &subject, Text: &text}
}

func sendOne(ctx context.Context, c *mailtura.ClientWithResponses) (string, error) {
	answer, err := c.SendEmailWithResponse(ctx, nil, newEmail())
	if err != nil {
		return "", err
	}
	if answer.JSON202 == nil {
		return "", fmt.Errorf("%s: %s", answer.Status(), answer.Body)
	}
	return answer.JSON202.Id, nil
}

func query(b *testing.B, stack *testkit.Stack, database, sql string) (n int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), stack.Database.URL(database))
	require.NoError(b, err)
	defer conn.Close(context.WithoutCancel(b.Context())) //nolint:errcheck // a bench's connection
	require.NoError(b, conn.QueryRow(b.Context(), sql).Scan(&n))
	return n
}

func dispatches(b *testing.B, stack *testkit.Stack) int {
	b.Helper()
	return query(b, stack, "mailtura", "SELECT count(*) FROM dispatches")
}

// transactions counts the commits of all databases of the server.
func transactions(b *testing.B, stack *testkit.Stack) int {
	b.Helper()
	return query(b, stack, "postgres", "SELECT sum(xact_commit)::bigint FROM pg_stat_database")
}

func (m measurement) report(b *testing.B) {
	b.Helper()
	delivered := emails / m.allIn.Seconds()
	b.ReportMetric(emails/m.acceptedIn.Seconds(), "accepted/s")
	b.ReportMetric(delivered, "delivered/s")
	b.ReportMetric(m.emptyPerSecond, "emptyWorkflows/s")
	b.ReportMetric(delivered/m.emptyPerSecond, "×emptyWorkflow")
	if m.postfixPerSecond > 0 {
		b.ReportMetric(m.postfixPerSecond, "postfix/s")
		b.ReportMetric(delivered/m.postfixPerSecond, "×postfix")
	}
	b.ReportMetric(float64(emails)/float64(m.workflows), "emails/workflow")
	b.ReportMetric(m.transactionsPerEmail, "commits/email")
	b.ReportMetric(ms(m.accept, 0.50), "accept-p50-ms")
	b.ReportMetric(ms(m.accept, 0.99), "accept-p99-ms")
	b.ReportMetric(ms(m.endToEnd, 0.50), "end-to-end-p50-ms")
	b.ReportMetric(ms(m.endToEnd, 0.99), "end-to-end-p99-ms")
}

// ms is a quantile in milliseconds.
func ms(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))]) / float64(time.Millisecond)
}
