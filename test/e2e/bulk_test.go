package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// lines is an upload of n lines to recipients of a domain.
func lines(domain string, n int) *bytes.Buffer {
	var body bytes.Buffer
	body.WriteString(`{"name":"News","subject":"News for {{name}}","text":"Hi {{name}}","tags":["news"]}` + "\n")
	for i := range n {
		fmt.Fprintf(&body, `{"to":"Reader %d <r%d@%s>","variables":{"name":"Reader %d"}}`+"\n", i, i, domain, i)
	}
	return &body
}

func upload(t *testing.T, c *mailtura.ClientWithResponses, body *bytes.Buffer) *mailtura.BulkAccepted {
	t.Helper()
	answer, err := c.CreateBulkSendWithBodyWithResponse(t.Context(), nil, "application/x-ndjson", body)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
	return answer.JSON202
}

func bulkSend(t *testing.T, c *mailtura.ClientWithResponses, id string) *mailtura.BulkSend {
	t.Helper()
	answer, err := c.GetBulkSendWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	return answer.JSON200
}

// arrivals counts the mails to each recipient of a domain.
func (s *stack) arrivals(t *testing.T, domain string) (each map[string]int) {
	t.Helper()
	each = map[string]int{}
	for after := ""; ; {
		var list struct {
			Items      []mail
			NextCursor *string
		}
		s.inboxGet(t, "/api/v1/messages?limit=1000&to="+url.QueryEscape("@"+domain)+"&after="+url.QueryEscape(after), &list)
		for _, m := range list.Items {
			each[m.To[0]]++
		}
		if list.NextCursor == nil || *list.NextCursor == "" {
			return each
		}
		after = *list.NextCursor
	}
}

func TestBulkSend_PausedAndResumed(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(400)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second"))})
	domain := fmt.Sprintf("bulk%d.example.com", time.Now().UnixNano())
	const n = 5000
	accepted := upload(t, c, lines(domain, n))
	require.EqualValues(t, n, accepted.Accepted)
	require.Eventually(t, func() bool { return bulkSend(t, c, accepted.Id).Progress.Sent > 0 }, 60*time.Second, 50*time.Millisecond)
	paused, err := c.PauseBulkSendWithResponse(t.Context(), accepted.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, paused.StatusCode(), string(paused.Body))
	var stopped *mailtura.BulkSend
	require.Eventually(t, func() bool {
		stopped = bulkSend(t, c, accepted.Id)
		return stopped.Progress.Sending == 0 && stopped.Progress.Sent%500 == 0
	}, 90*time.Second, 200*time.Millisecond, "what was queued is sent")
	require.Equal(t, mailtura.BulkSendStatus("paused"), stopped.Status)
	require.Less(t, stopped.Progress.Sent, int64(n))
	require.EqualValues(t, n, stopped.Progress.Sent+stopped.Progress.Queued)
	resumed, err := c.ResumeBulkSendWithResponse(t.Context(), accepted.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resumed.StatusCode(), string(resumed.Body))
	require.Eventually(t, func() bool { return bulkSend(t, c, accepted.Id).Progress.Sent == n }, 120*time.Second, 200*time.Millisecond)
	require.Equal(t, mailtura.BulkSendStatus("completed"), bulkSend(t, c, accepted.Id).Status)
	each := shared.arrivals(t, domain)
	require.Len(t, each, n)
	for to, times := range each {
		require.Equal(t, 1, times, to)
	}
}

// The process that does everything is killed amid a bulk send. Every line arrives; twice at
// the most what was in flight.
func TestChaos_BulkSendSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := beside(t)
	serve, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(serve.Stop)
	_, c := s.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(300)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second"))})
	const domain, n = "killed.example.com", 3000
	accepted := upload(t, c, lines(domain, n))
	require.Eventually(t, func() bool { return bulkSend(t, c, accepted.Id).Progress.Sent > 200 }, 60*time.Second, 50*time.Millisecond)
	serve.Kill()
	again, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(again.Stop)
	require.Eventually(t, func() bool { return bulkSend(t, c, accepted.Id).Progress.Sent == n }, 180*time.Second, 500*time.Millisecond)
	each := s.arrivals(t, domain)
	require.Len(t, each, n, "every line")
	twice := 0
	for to, times := range each {
		require.LessOrEqual(t, times, 2, to)
		twice += times - 1
	}
	require.LessOrEqual(t, twice, 64, "at the most what was in flight")
	t.Logf("%d lines, %d arrived twice", n, twice)
}
