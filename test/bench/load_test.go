package bench

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

const (
	batches   = 40
	batchSize = 500
)

// BenchmarkBatch sends batches of 500 emails of 4 kB from 4 callers, beside Postfix.
func BenchmarkBatch(b *testing.B) { benchmarkBatches(b) }

// BenchmarkSigned does so with a DKIM signature of RSA-2048 on each email; Postfix signs nothing.
func BenchmarkSigned(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(b, err)
	keys := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(keys, "s1._domainkey.acme.com.pem"),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	benchmarkBatches(b, "MAILTURA_DKIM_KEYS="+keys)
}

func benchmarkBatches(b *testing.B, env ...string) {
	b.Helper()
	stack, sink := start(b, env...)
	for b.Loop() {
		postfix := postfixPerSecond(b, sink)
		client := newTenant(b, stack, "batch")
		sink.Reset(batches * batchSize)
		account := readAccount(stack)
		began := time.Now()
		inParallel(b, 4, batches, func(ctx context.Context) error { return sendBatch(ctx, client, batchSize) })
		accepted := time.Since(began)
		require.NoError(b, sink.Await(arrivesWithin))
		delivered := batches * batchSize / time.Since(began).Seconds()
		reportAccount(b, stack, account, batches*batchSize)
		b.ReportMetric(batches*batchSize/accepted.Seconds(), "accepted/s")
		b.ReportMetric(delivered, "delivered/s")
		if postfix > 0 {
			b.ReportMetric(postfix, "postfix/s")
			b.ReportMetric(delivered/postfix, "×postfix")
		}
	}
}

// BenchmarkIdle measures single sends on a system that has nothing else to do: from the API
// call to the message at the mail server, at 20 a second, also where that is within a rate
// limit; and the accept alone at 200 a second.
func BenchmarkIdle(b *testing.B) {
	stack, sink := start(b)
	client := newTenant(b, stack, "idle")
	for b.Loop() {
		_, arrived := paced(b, client, sink, 20, 200)
		b.ReportMetric(ms(arrived, 0.50), "end-to-end-p50-ms")
		b.ReportMetric(ms(arrived, 0.99), "end-to-end-p99-ms")
		limited := newTenant(b, stack, "limited")
		patch(b, stack, limited, `{"rateLimit":6000}`)
		_, arrived = paced(b, limited, sink, 20, 200)
		b.ReportMetric(ms(arrived, 0.50), "limited-p50-ms")
		b.ReportMetric(ms(arrived, 0.99), "limited-p99-ms")
		accept, _ := paced(b, client, sink, 200, 2000)
		b.ReportMetric(ms(accept, 0.50), "accept-p50-ms")
		b.ReportMetric(ms(accept, 0.99), "accept-p99-ms")
	}
}

// BenchmarkFairness measures single sends of one tenant while another has 100,000 emails
// queued, and the memory that the process takes for those.
func BenchmarkFairness(b *testing.B) {
	stack, sink := start(b)
	for b.Loop() {
		flood, small := newTenant(b, stack, "flood"), newTenant(b, stack, "small")
		sink.Reset(1 << 30) // its end is not waited for
		inParallel(b, 4, 100_000/batchSize, func(ctx context.Context) error { return sendBatch(ctx, flood, batchSize) })
		b.ReportMetric(float64(backlog(b, flood)), "queued-at-start")
		b.ReportMetric(residentMB(b), "resident-MB")
		_, arrived := paced(b, small, sink, 10, 100)
		b.ReportMetric(float64(backlog(b, flood)), "queued-at-end")
		b.ReportMetric(ms(arrived, 0.50), "end-to-end-p50-ms")
		b.ReportMetric(ms(arrived, 0.99), "end-to-end-p99-ms")
	}
}

// inParallel calls do so many times from some callers.
func inParallel(b *testing.B, callers, times int, do func(context.Context) error) {
	b.Helper()
	work := make(chan struct{}, times)
	for range times {
		work <- struct{}{}
	}
	close(work)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range work {
				if err := do(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func sendBatch(ctx context.Context, c *mailtura.ClientWithResponses, size int) error {
	one := newEmail()
	batch := mailtura.SendBatch{Emails: make([]mailtura.SendEmail, size)}
	for i := range batch.Emails {
		batch.Emails[i] = one
	}
	answer, err := c.SendEmailBatchWithResponse(ctx, nil, batch)
	if err != nil {
		return err
	}
	if answer.JSON202 == nil || answer.JSON202.Failed > 0 {
		return fmt.Errorf("%s: %.200s", answer.Status(), answer.Body)
	}
	return nil
}

// paced sends single emails at a rate, and waits for them.
func paced(b *testing.B, c *mailtura.ClientWithResponses, sink *testkit.Sink, perSecond, count int) (accept, arrived []time.Duration) {
	b.Helper()
	sink.Reset(1 << 30)
	var mu sync.Mutex
	sent := map[string]time.Time{}
	var group sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for range count {
		<-tick.C
		group.Go(func() {
			start := time.Now()
			id, err := sendOne(b.Context(), c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				b.Error(err)
				return
			}
			sent[id] = start
			accept = append(accept, time.Since(start))
		})
	}
	group.Wait()
	require.Eventually(b, func() bool {
		arrived = arrived[:0]
		came := sink.Arrivals()
		for id, start := range sent {
			if at := came[testkit.Mail{ID: id, To: recipient}]; len(at) > 0 {
				arrived = append(arrived, at[0].Sub(start))
			}
		}
		return len(arrived) == count
	}, time.Minute, 50*time.Millisecond, "everything arrives")
	return accept, arrived
}

func backlog(b *testing.B, c *mailtura.ClientWithResponses) int64 {
	b.Helper()
	usage, err := c.GetUsageWithResponse(b.Context(), nil)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, usage.StatusCode())
	return usage.JSON200.Backlog
}

// residentMB is the resident memory of API and worker.
func residentMB(b *testing.B) float64 {
	b.Helper()
	mb, err := resident()
	require.NoError(b, err)
	return mb
}

func resident() (mb float64, err error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(served.Cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kB, err := strconv.ParseFloat(fields[1], 64)
			return kB / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}
