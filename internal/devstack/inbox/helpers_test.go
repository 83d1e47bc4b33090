package inbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/inbox"
)

// box is a running inbox.
type box struct {
	*inbox.Inbox
	t *testing.T
}

func newBox(t *testing.T, cfg inbox.Config) *box {
	t.Helper()
	cfg.SMTPAddr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.DiscardHandler)
	i, err := inbox.Start(cfg)
	require.NoError(t, err)
	b := &box{Inbox: i, t: t}
	t.Cleanup(b.stop)
	return b
}

func (b *box) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = b.Close(ctx) // a test may have closed it
}

// send hands mail over.
func (b *box) send(raw string, to ...string) error {
	c, err := smtp.Dial(b.SMTPAddr())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is lost
	return c.SendMail("noreply@acme.com", to, strings.NewReader(raw))
}

// deliver hands over mail that has to be taken.
func (b *box) deliver(raw string, to ...string) {
	b.t.Helper()
	require.NoError(b.t, b.send(raw, to...))
}

type item struct {
	ID          string
	From        string
	To          []string
	Subject     string
	MessageID   string
	ReceivedAt  time.Time
	Size        int
	Attachments bool
}

type listing struct {
	Items      []item
	Total      int
	NextCursor *string
	SMTP       string
}

func (l listing) subjects() (all []string) {
	for _, i := range l.Items {
		all = append(all, i.Subject)
	}
	return all
}

type whole struct {
	item
	Headers []struct{ Name, Value string }
	HTML    string
	Text    string
	Files   []struct {
		Filename, ContentType, ContentID string
		Size                             int
	}
}

// get asks for a path, which has to answer with a status.
func (b *box) get(path string, status int) (body string, header http.Header) {
	b.t.Helper()
	response, err := http.Get(b.URL() + path)
	require.NoError(b.t, err)
	defer response.Body.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, status, response.StatusCode, "%s: %s", path, raw)
	return string(raw), response.Header
}

func (b *box) list(query url.Values) (l listing) {
	b.t.Helper()
	body, header := b.get("/api/v1/messages?"+query.Encode(), http.StatusOK)
	require.Equal(b.t, "application/json", header.Get("Content-Type"))
	require.NoError(b.t, json.Unmarshal([]byte(body), &l))
	return l
}

// newest is the message that came last.
func (b *box) newest() (m whole) {
	b.t.Helper()
	items := b.list(nil).Items
	require.NotEmpty(b.t, items)
	body, _ := b.get("/api/v1/messages/"+items[0].ID, http.StatusOK)
	require.NoError(b.t, json.Unmarshal([]byte(body), &m))
	return m
}

func plain(subject string) string { return "Subject: " + subject + "\r\n\r\nHello\r\n" }

// do makes a request, and gives the status and header of its answer.
func do(t *testing.T, method, address string, change func(*http.Request)) (status int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	require.NoError(t, err)
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, response.Header
}
