package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

const (
	bulkLines = 1_000_000
	bulkSent  = 20_000 // so many of them are waited for
)

// BenchmarkBulk uploads 1,000,000 lines, and asks for the progress of the bulk send while
// the first of them are sent, beside a read that finds two rows at the most.
func BenchmarkBulk(b *testing.B) {
	stack, sink := start(b)
	for b.Loop() {
		client := newTenant(b, stack, "bulk")
		sink.Reset(1 << 30) // its end is not waited for
		before := residentMB(b)
		stop := watchMemory(b)
		began := time.Now()
		id := uploadBulk(b, client, bulkLines)
		b.ReportMetric(bulkLines/time.Since(began).Seconds(), "lines/s")
		b.ReportMetric(before, "resident-MB-before")
		b.ReportMetric(stop(), "resident-MB")

		began = time.Now()
		var asked, least []time.Duration
		for sent := int64(0); sent < bulkSent; {
			at := time.Now()
			answer, err := client.GetBulkSendWithResponse(b.Context(), id, nil)
			require.NoError(b, err)
			require.Equal(b, http.StatusOK, answer.StatusCode(), string(answer.Body))
			asked = append(asked, time.Since(at))
			sent = answer.JSON200.Progress.Sent
			at = time.Now()
			_, err = client.ListBulkSendErrorsWithResponse(b.Context(), id, nil)
			require.NoError(b, err)
			least = append(least, time.Since(at))
			time.Sleep(20 * time.Millisecond) // the pace of the questions
		}
		b.ReportMetric(bulkSent/time.Since(began).Seconds(), "sent/s")
		b.ReportMetric(ms(asked, 0.50), "progress-p50-ms")
		b.ReportMetric(ms(asked, 0.99), "progress-p99-ms")
		b.ReportMetric(ms(least, 0.50), "least-read-p50-ms")
		b.ReportMetric(ms(least, 0.99), "least-read-p99-ms")
		began = time.Now()
		cancelled, err := client.CancelBulkSendWithResponse(b.Context(), id, nil)
		require.NoError(b, err)
		require.Equal(b, http.StatusOK, cancelled.StatusCode(), string(cancelled.Body))
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "cancel-ms")
	}
}

// uploadBulk uploads lines as they are made, all of which must be accepted.
func uploadBulk(b *testing.B, c *mailtura.ClientWithResponses, lines int) (id string) {
	b.Helper()
	body, w := io.Pipe()
	go func() { w.CloseWithError(writeLines(w, lines)) }()
	answer, err := c.CreateBulkSendWithBodyWithResponse(b.Context(), nil, "application/x-ndjson", body)
	require.NoError(b, err)
	require.Equal(b, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
	require.EqualValues(b, lines, answer.JSON202.Accepted)
	return answer.JSON202.Id
}

func writeLines(w io.Writer, lines int) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if _, err := fmt.Fprintln(buffered, `{"name":"News","subject":"News for {{name}}","text":"Hello {{name}}, your code is {{code}}."}`); err != nil {
		return err
	}
	for i := range lines {
		_, err := fmt.Fprintf(buffered, `{"to":"Reader %d <reader%d@example.com>","variables":{"name":"Reader %d","code":"C-%d"}}`+"\n", i, i, i, i)
		if err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// watchMemory finds out how much resident memory API and worker take at the most until stop.
func watchMemory(b *testing.B) (stop func() float64) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	found := make(chan float64)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		most := 0.0
		for ctx.Err() == nil {
			if mb, err := resident(); err == nil {
				most = max(most, mb)
			}
			<-tick.C
		}
		found <- most
	}()
	return func() float64 { cancel(); return <-found }
}
