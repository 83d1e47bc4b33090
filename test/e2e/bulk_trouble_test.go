package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/id"
)

// perSecond makes a bulk send last, so that trouble meets it under way.
func perSecond(n int64) mailtura.Settings {
	return mailtura.Settings{RateLimit: &n, RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second")), DailyLimit: ptr(int64(10_000))}
}

// workflows counts the workflows that a query of Temporal finds.
func (s *stack) workflows(t *testing.T, query string) int64 {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.Temporal.Address, Namespace: s.Name})
	require.NoError(t, err)
	defer c.Close()
	answer, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.Name, Query: query})
	require.NoError(t, err)
	return answer.GetCount()
}

// number asks the database for one.
func (s *stack) number(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DatabaseURL())
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // a test's connection
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func uuidOf(t *testing.T, bulkSend string) string {
	t.Helper()
	bulkID, err := id.BulkSend.Parse(bulkSend)
	require.NoError(t, err)
	return bulkID.String()
}

// uploadOnce uploads with an idempotency key.
func uploadOnce(t *testing.T, c *mailtura.ClientWithResponses, key string, body io.Reader) (*mailtura.CreateBulkSendResponse, error) {
	t.Helper()
	return c.CreateBulkSendWithBodyWithResponse(t.Context(), &mailtura.CreateBulkSendParams{IdempotencyKey: &key}, "application/x-ndjson", body)
}

func total(p mailtura.BulkProgress) int64 {
	return p.Scheduled + p.Held + p.Queued + p.Sending + p.Deferred + p.Sent + p.Bounced + p.Failed + p.Cancelled + p.Expired + p.Unknown
}

// After a cancel nothing more is sent once the hand-overs that were under way have ended;
// every line is accounted for, and what was never tried is given back to the day. The
// workflows of the bulk send are found by its id.
func TestBulkSend_CancelledUnderWay(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, perSecond(200))
	domain := fmt.Sprintf("cancelled%d.example.com", time.Now().UnixNano())
	const n = 4000
	accepted := upload(t, c, lines(domain, n))
	require.Eventually(t, func() bool { return bulkSend(t, c, accepted.Id).Progress.Sent > 100 }, 60*time.Second, 50*time.Millisecond)
	cancelled, err := c.CancelBulkSendWithResponse(t.Context(), accepted.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, cancelled.StatusCode(), string(cancelled.Body))
	require.Equal(t, mailtura.BulkSendStatus("cancelled"), cancelled.JSON200.Status)
	require.EqualValues(t, n, total(cancelled.JSON200.Progress))
	ofIt := fmt.Sprintf("BulkSendId = %q", accepted.Id)
	chunks := shared.number(t, `SELECT count(*)::int FROM dispatches WHERE bulk_send_id::text = $1`, uuidOf(t, accepted.Id))
	require.Positive(t, chunks)
	require.Eventually(t, func() bool {
		return shared.workflows(t, ofIt+" AND WorkflowType = 'SendEmails' AND ExecutionStatus = 'Completed'") == int64(chunks) &&
			shared.workflows(t, ofIt+" AND ExecutionStatus = 'Completed'") == int64(chunks)+1
	}, 60*time.Second, 200*time.Millisecond, "the workflows of its chunks, and its own, end")
	after := bulkSend(t, c, accepted.Id)
	require.EqualValues(t, n, after.Progress.Sent+after.Progress.Cancelled)
	require.Less(t, after.Progress.Sent, int64(n/2))
	require.Len(t, shared.arrivals(t, domain), int(after.Progress.Sent))
	usage, err := c.GetUsageWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, after.Progress.Sent, usage.JSON200.Used, "what was never tried is given back")
}

// An upload that breaks off is cancelled as a whole, and nothing of it is sent. The same
// request, repeated with its key, is taken in; repeated again, it is the same bulk send.
func TestBulkSend_UploadBreaksOff(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, perSecond(1000))
	domain := fmt.Sprintf("broken%d.example.com", time.Now().UnixNano())
	all := lines(domain, 1200).Bytes()
	body, w := io.Pipe()
	go func() {
		_, _ = w.Write(all[:len(all)*9/10])
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	_, err := uploadOnce(t, c, "news", body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	var first *mailtura.CreateBulkSendResponse
	require.Eventually(t, func() bool {
		first, err = uploadOnce(t, c, "news", bytes.NewReader(all))
		require.NoError(t, err)
		return first.StatusCode() == http.StatusAccepted
	}, 60*time.Second, 100*time.Millisecond, "once the server knows that the other one has ended")
	again, err := uploadOnce(t, c, "news", bytes.NewReader(all))
	require.NoError(t, err)
	require.Equal(t, "true", again.HTTPResponse.Header.Get("Idempotency-Replayed"))
	require.Equal(t, string(first.Body), string(again.Body))
	require.EqualValues(t, 1200, first.JSON202.Accepted)
	require.Eventually(t, func() bool { return bulkSend(t, c, first.JSON202.Id).Progress.Sent == 1200 }, 60*time.Second, 200*time.Millisecond)
	list, err := c.ListBulkSendsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	for _, b := range list.JSON200.Items[1:] {
		require.Equal(t, mailtura.BulkSendStatus("cancelled"), b.Status)
		require.Equal(t, b.Accepted, b.Progress.Cancelled)
	}
	requireOnce(t, shared.arrivals(t, domain), 1200, 0)
}

// requireOnce requires that every line has arrived, and that no more arrived again than
// hand-overs were cut off.
func requireOnce(t *testing.T, each map[string]int, n, cutOff int) {
	t.Helper()
	require.Len(t, each, n, "every line")
	again := 0
	for _, times := range each {
		again += times - 1
	}
	require.LessOrEqual(t, again, cutOff, "only what was cut off is sent again")
	t.Logf("%d lines, %d arrived again, %d hand-overs were cut off", n, again, cutOff)
}

// The API is killed amid an upload, then the worker and Temporal amid the sending. The upload
// is repeated with its key, and every line arrives.
func TestChaos_BulkSend(t *testing.T) {
	t.Parallel()
	s, err := newStack(t.TempDir()) // its Temporal is killed
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	api, err := s.Launch("apiserver")
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	worker, err := s.Launch("worker")
	require.NoError(t, err)
	t.Cleanup(func() { worker.Stop() })
	_, c := s.newTenant(t, perSecond(250))
	const domain, n = "chaos.example.com", 2000
	all := lines(domain, n).Bytes()
	body, w := io.Pipe()
	go func() {
		_, _ = w.Write(all[:len(all)/2]) // and no end: the process dies first
	}()
	died := make(chan error, 1)
	go func() {
		_, err := uploadOnce(t, c, "news", body)
		died <- err
	}()
	require.Eventually(t, func() bool { return s.number(t, `SELECT coalesce(sum(accepted), 0)::int FROM bulk_sends`) >= 500 },
		30*time.Second, 50*time.Millisecond)
	api.Kill()
	_ = w.CloseWithError(io.ErrUnexpectedEOF) // what net/http waits for, whatever became of the connection
	require.Error(t, <-died)
	again, err := s.Launch("apiserver")
	require.NoError(t, err)
	t.Cleanup(again.Stop)
	refused, err := uploadOnce(t, c, "news", bytes.NewReader(all))
	require.NoError(t, err)
	require.Equal(t, "idempotency_key_in_progress", refused.ApplicationproblemJSON409.Code, "nobody can tell yet that it is dead")
	s.number(t, `WITH aged AS (UPDATE bulk_sends SET progressed_at = now() - interval '2 minutes' RETURNING 1) SELECT count(*)::int FROM aged`)
	repeated, err := uploadOnce(t, c, "news", bytes.NewReader(all))
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, repeated.StatusCode(), string(repeated.Body))

	sent := func() int64 { return bulkSend(t, c, repeated.JSON202.Id).Progress.Sent }
	require.Eventually(t, func() bool { return sent() > 200 }, 60*time.Second, 50*time.Millisecond)
	worker.Kill()
	worker, err = s.Launch("worker")
	require.NoError(t, err)
	t.Cleanup(worker.Stop)
	killedAt := sent()
	require.Eventually(t, func() bool { return sent() > killedAt+200 }, 60*time.Second, 50*time.Millisecond)
	s.Temporal.Kill()
	require.NoError(t, s.StartTemporal(t.Context()))
	require.Eventually(t, func() bool { return sent() == n }, 120*time.Second, 200*time.Millisecond)
	require.Equal(t, mailtura.BulkSendStatus("completed"), bulkSend(t, c, repeated.JSON202.Id).Status)
	requireOnce(t, s.arrivals(t, domain), n, s.number(t, `SELECT count(*)::int FROM attempts WHERE verdict = 'unknown'`))
}
