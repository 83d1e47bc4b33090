package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// mail is a message as the inbox's listing shows it.
type mail struct {
	ID         string
	From       string
	To         []string
	Subject    string
	MessageID  string
	ReceivedAt time.Time
	Headers    []struct{ Name, Value string }
	HTML, Text string
	Files      []struct {
		Filename, ContentType, ContentID string
		Size                             int
	}
}

func (m mail) header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// received lists the mails to a recipient (or a part of one), newest first.
func (s *stack) received(t testing.TB, to string) []mail {
	t.Helper()
	var list struct{ Items []mail }
	s.inboxGet(t, "/api/v1/messages?limit=1000&to="+url.QueryEscape(to), &list)
	return list.Items
}

// open gives a mail with its parts.
func (s *stack) open(t testing.TB, id string) mail {
	t.Helper()
	var m mail
	s.inboxGet(t, "/api/v1/messages/"+id, &m)
	return m
}

// source is a mail as it came over the wire.
func (s *stack) source(t testing.TB, id string) string {
	t.Helper()
	response, err := http.Get(s.Inbox.URL() + "/api/v1/messages/" + id + "/source")
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	require.Equal(t, http.StatusOK, response.StatusCode)
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(raw)
}

func (s *stack) inboxGet(t testing.TB, path string, into any) {
	t.Helper()
	response, err := http.Get(s.Inbox.URL() + path)
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

// await waits until so many mails to a recipient have come.
func (s *stack) await(t testing.TB, to string, count int, within time.Duration) []mail {
	t.Helper()
	var mails []mail
	require.Eventually(t, func() bool {
		mails = s.received(t, to)
		return len(mails) >= count
	}, within, 50*time.Millisecond, "%d mails to %s", count, to)
	return mails
}

// to is the union type of one address or a list of them.
func to(addresses ...string) mailtura.SendEmail_To {
	var u mailtura.SendEmail_To
	if len(addresses) == 1 {
		_ = u.FromSendEmailTo0(addresses[0])
		return u
	}
	_ = u.FromSendEmailTo1(addresses)
	return u
}

// send sends an email that must be accepted.
func send(t testing.TB, c *mailtura.ClientWithResponses, e mailtura.SendEmail) *mailtura.Accepted {
	t.Helper()
	answer, err := c.SendEmailWithResponse(t.Context(), nil, e)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
	return answer.JSON202
}

func email(t testing.TB, c *mailtura.ClientWithResponses, id string) *mailtura.Email {
	t.Helper()
	answer, err := c.GetEmailWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	return answer.JSON200
}

// awaitStatus waits until an email has a status.
func awaitStatus(t testing.TB, c *mailtura.ClientWithResponses, id, status string, within time.Duration) *mailtura.Email {
	t.Helper()
	var e *mailtura.Email
	require.Eventually(t, func() bool {
		e = email(t, c, id)
		return string(e.Status) == status
	}, within, 50*time.Millisecond, "email %s is %s", id, status)
	return e
}

// address is a recipient that no other test has.
func address(t testing.TB, local string) string {
	t.Helper()
	return fmt.Sprintf("%s@%x.example.com", local, len(t.Name())*7919+int(time.Now().UnixNano()%1e9))
}
