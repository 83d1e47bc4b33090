package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// A client whose request was accepted just before a crash asks again, and gets the same
// answer for the same email.
func TestIdempotency_SurvivesACrash(t *testing.T) {
	t.Parallel()
	s := beside(t)
	api, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(func() { api.Stop() })
	_, c := s.newTenant(t, mailtura.Settings{})
	recipient := address(t, "ada")
	ask := func(i int) *mailtura.SendEmailResponse {
		answer, err := c.SendEmailWithResponse(t.Context(), &mailtura.SendEmailParams{IdempotencyKey: ptr(fmt.Sprintf("order %d", i))},
			mailtura.SendEmail{To: to(recipient), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi")})
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
		return answer
	}
	var first []*mailtura.SendEmailResponse
	for i := range 20 {
		first = append(first, ask(i))
	}
	api.Kill()
	api, err = s.Launch("serve")
	require.NoError(t, err)
	for i, before := range first {
		again := ask(i)
		require.Equal(t, "true", again.HTTPResponse.Header.Get("Idempotency-Replayed"))
		require.Equal(t, string(before.Body), string(again.Body))
		awaitStatus(t, c, again.JSON202.Id, "sent", 60*time.Second)
	}
	list, err := c.ListEmailsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list.JSON200.Items, len(first), "no email was made again")
	arrived := map[string]bool{} // what was in flight at the kill may have come twice
	for _, m := range s.received(t, recipient) {
		arrived[m.MessageID] = true
	}
	require.Len(t, arrived, len(first))
}

// cutter stands between Mailtura and a mail server, and cuts off the first connection on
// which the whole of a message has come: the client never learns what became of it.
type cutter struct {
	listener net.Listener
	server   string
	cut      atomic.Bool
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c := &cutter{listener: l, server: server}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is over, whichever way
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is over, whichever way
	go func() { _, _ = io.Copy(client, server) }()
	var said []byte
	for buffer := make([]byte, 64<<10); ; {
		n, err := client.Read(buffer)
		said = append(said, buffer[:n]...)
		if bytes.HasSuffix(said, []byte("\r\n.\r\n")) && c.cut.CompareAndSwap(false, true) {
			return
		}
		if _, broken := server.Write(buffer[:n]); err != nil || broken != nil {
			return
		}
	}
}

// A hand-over that was cut off before the answer is held where the tenant wants that; a
// retry sends it, under the same Message-ID.
func TestRetry_OfAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := beside(t)
	relay := newCutter(t, s.Inbox.SMTPAddr())
	api, err := s.Launch("serve", "MAILTURA_SMTP_RELAY=smtp://"+relay.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	_, c := s.newTenant(t, mailtura.Settings{OnUnknownOutcome: ptr(mailtura.SettingsOnUnknownOutcome("hold"))})
	recipient := address(t, "ada")
	accepted := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("Hi"), Text: ptr("Hi")})
	before := awaitStatus(t, c, accepted.Id, "unknown", 60*time.Second)
	require.Empty(t, s.received(t, recipient))
	attempts, last := attemptsOf(t, c, accepted.Id)
	require.Len(t, attempts, 1)
	require.EqualValues(t, "unknown", attempts[0].Verdict)
	require.EqualValues(t, "held", *last.Reason)

	retried, err := c.RetryEmailWithResponse(t.Context(), accepted.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, retried.StatusCode(), string(retried.Body))
	after := awaitStatus(t, c, accepted.Id, "sent", 60*time.Second)
	require.NotEqual(t, before.Workflow.Id, after.Workflow.Id, "another workflow has carried it")
	require.EqualValues(t, 2, after.Recipients[0].Attempts)
	mails := s.await(t, recipient, 1, 60*time.Second)
	require.Len(t, mails, 1)
	require.Equal(t, accepted.Id+"@acme.com", mails[0].MessageID)
	attempts, last = attemptsOf(t, c, accepted.Id)
	require.Len(t, attempts, 2)
	require.EqualValues(t, "accepted", attempts[1].Verdict)
	require.Equal(t, attempts[1], last.Attempt, "nothing more is waited for")
	require.Contains(t, *attempts[1].Dialogue, "C: DATA")
}

// attemptsOf gives the attempts in the timeline of an email, and its last entry.
func attemptsOf(t *testing.T, c *mailtura.ClientWithResponses, id string) (attempts []*mailtura.Attempt, last mailtura.TimelineEntry) {
	t.Helper()
	answer, err := c.GetEmailTimelineWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	for _, entry := range answer.JSON200.Entries {
		if entry.Attempt != nil {
			attempts = append(attempts, entry.Attempt)
		}
		last = entry
	}
	return attempts, last
}
