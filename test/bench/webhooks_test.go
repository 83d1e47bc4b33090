package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

const (
	hookBatches = 40
	hookEvents  = 2 * hookBatches * batchSize // each email is accepted and scheduled
	hookCalls   = 16                          // at a time, as a webhook makes them
)

// hookSink is an endpoint that counts the events it is called for.
type hookSink struct {
	*httptest.Server
	came atomic.Int64
	all  chan struct{} // closed when hookEvents have come
}

func newHookSink(b *testing.B) *hookSink {
	b.Helper()
	s := &hookSink{all: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a caller that is gone finds out by itself
		w.WriteHeader(http.StatusNoContent)
		if s.came.Add(1) == hookEvents {
			close(s.all)
		}
	}))
	b.Cleanup(s.Close)
	return s
}

// BenchmarkWebhooks tells one endpoint of 40,000 events, while they happen and after, beside
// the same payloads posted to it by a plain loop with as many calls at a time. Nothing is
// sent meanwhile: all emails are scheduled.
func BenchmarkWebhooks(b *testing.B) {
	stack, _ := start(b)
	for b.Loop() {
		client := newTenant(b, stack, "hooks")
		sink := newHookSink(b)
		made, err := client.CreateWebhookWithResponse(b.Context(), nil, mailtura.CreateWebhook{Url: sink.URL, Events: []string{"*"}})
		require.NoError(b, err)
		require.Equal(b, http.StatusCreated, made.StatusCode(), string(made.Body))
		account := readAccount(stack)
		began := time.Now()
		inParallel(b, 4, hookBatches, func(ctx context.Context) error { return scheduleBatch(ctx, client) })
		accepted := time.Since(began)
		before := sink.came.Load()
		select {
		case <-sink.all:
		case <-time.After(arrivesWithin):
			require.Fail(b, "not all events have come", "%d", sink.came.Load())
		}
		took := time.Since(began)
		delivered := float64(hookEvents-before) / (took - accepted).Seconds()
		reportAccount(b, stack, account, hookEvents)
		plain := plainPosts(b)
		b.ReportMetric(hookEvents/took.Seconds(), "delivered/s-with-accept")
		b.ReportMetric(delivered, "delivered/s")
		b.ReportMetric(plain, "plainPosts/s")
		b.ReportMetric(delivered/plain, "×plainPosts")
	}
}

func scheduleBatch(ctx context.Context, c *mailtura.ClientWithResponses) error {
	one := newEmail()
	at := time.Now().Add(24 * time.Hour)
	one.ScheduledAt = &at
	batch := mailtura.SendBatch{Emails: make([]mailtura.SendEmail, batchSize)}
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

// plainPosts is how many posts of a payload like that of an event a loop makes in a second.
func plainPosts(b *testing.B) float64 {
	b.Helper()
	sink := newHookSink(b)
	payload := bytes.Repeat([]byte("x"), 320)
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: hookCalls}}
	defer c.CloseIdleConnections()
	began := time.Now()
	inParallel(b, hookCalls, hookEvents, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, sink.URL, bytes.NewReader(payload))
		if err != nil {
			return err
		}
		answer, err := c.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
	return hookEvents / time.Since(began).Seconds()
}
