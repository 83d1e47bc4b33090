package inbox_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/inbox"
)

// mixed has both kinds of text, an inline image and an attachment.
const mixed = "From: =?utf-8?q?J=C3=BCrgen?= <j@acme.com>\r\nTo: ada@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"Message-ID: <1@acme.com>\r\nX-Long: one\r\n two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n" +
	"--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n" +
	"--r\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n" +
	"--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n.\r\n" +
	"--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe</p><img src=\"cid:logo\"><script>alert(1)</script>\r\n--a--\r\n" +
	"--r\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: inline; filename=logo.png\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--r--\r\n" +
	"--m\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.html\r\n\r\n<script>alert(2)</script>\r\n--m--\r\n"

func TestInbox_ShowsMailInParts(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"memory": "", "folder": filepath.Join(t.TempDir(), "inbox")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, inbox.Config{Dir: dir})
			before := time.Now().Add(-time.Second)
			b.deliver(mixed, "ada@example.com", "bob@example.com")

			m := b.newest()
			require.Equal(t, "noreply@acme.com", m.From, "of the envelope")
			require.Equal(t, []string{"ada@example.com", "bob@example.com"}, m.To)
			require.Equal(t, "Grüße", m.Subject)
			require.Equal(t, "1@acme.com", m.MessageID)
			require.WithinRange(t, m.ReceivedAt, before, time.Now())
			require.Equal(t, len(mixed), m.Size)
			require.True(t, m.Attachments)
			require.Equal(t, "Grüße\n.", strings.TrimSpace(strings.ReplaceAll(m.Text, "\r\n", "\n")))
			require.Contains(t, m.HTML, "<p>Grüße</p>")
			require.Equal(t, "Jürgen <j@acme.com>", m.Headers[0].Value)
			require.Contains(t, fmt.Sprint(m.Headers), "{X-Long one two}")

			source, header := b.get("/api/v1/messages/"+m.ID+"/source", http.StatusOK)
			require.Equal(t, mixed, source, "byte for byte")
			require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
			require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))

			require.Len(t, m.Files, 2)
			require.Equal(t, "ü.html", m.Files[0].Filename)
			require.Equal(t, "logo", m.Files[1].ContentID)
			require.Equal(t, 8, m.Files[1].Size)
			file, header := b.get("/api/v1/messages/"+m.ID+"/attachments/1", http.StatusOK)
			require.Equal(t, "\x89PNG\r\n\x1a\n", file)
			require.Equal(t, "image/png", header.Get("Content-Type"))
			for _, missing := range []string{"2", "-1", "x"} {
				b.get("/api/v1/messages/"+m.ID+"/attachments/"+missing, http.StatusNotFound)
			}
		})
	}
}

func TestInbox_ListsFiltersAndPages(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	require.Equal(t, listing{Items: []item{}, SMTP: b.SMTPAddr()}, b.list(nil))
	for n := range 5 {
		b.deliver(plain(fmt.Sprintf("Order %d", n)), fmt.Sprintf("ada%d@example.com", n), "Bob@example.com")
	}
	b.deliver(plain("Welcome"), "eve@example.com")

	require.Equal(t, []string{"Welcome", "Order 4", "Order 3", "Order 2", "Order 1", "Order 0"}, b.list(nil).subjects(), "newest first")
	for query, want := range map[string][]string{
		"to=ADA3":                              {"Order 3"},
		"to=bob%40example.com&subject=order+4": {"Order 4"},
		"subject=WELC":                         {"Welcome"},
		"to=eve&subject=order":                 nil,
	} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		l := b.list(values)
		require.Equal(t, want, l.subjects(), query)
		require.Equal(t, len(want), l.Total, query)
		require.Nil(t, l.NextCursor, query)
	}

	var seen []string
	query := url.Values{"limit": {"2"}, "to": {"bob"}}
	for pages := 1; ; pages++ {
		l := b.list(query)
		require.Equal(t, 5, l.Total)
		seen = append(seen, l.subjects()...)
		if l.NextCursor == nil {
			require.Equal(t, 3, pages)
			break
		}
		query.Set("after", *l.NextCursor)
		b.deliver(plain("Later"), "bob2@example.net") // what comes meanwhile moves nothing
		b.deliver(plain("Later"), "eve@example.com")
		query.Set("to", "bob@")
	}
	require.Equal(t, []string{"Order 4", "Order 3", "Order 2", "Order 1", "Order 0"}, seen)

	for _, limit := range []string{"0", "-1", "1001", "many"} {
		body, header := b.get("/api/v1/messages?limit="+limit, http.StatusBadRequest)
		require.Equal(t, "application/problem+json", header.Get("Content-Type"))
		require.Contains(t, body, "from 1 to 1000")
	}
}

func TestInbox_Forgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBox(t, inbox.Config{Dir: dir})
	b.deliver(plain("one"), "ada@example.com")
	id := b.newest().ID
	status, _ := do(t, http.MethodDelete, b.URL()+"/api/v1/messages", nil)
	require.Equal(t, http.StatusNoContent, status)
	require.Zero(t, b.list(nil).Total)
	for _, part := range []string{"", "/source", "/html", "/attachments/0"} {
		body, _ := b.get("/api/v1/messages/"+id+part, http.StatusNotFound)
		require.Contains(t, body, "no such message")
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestInbox_DropsTheOldest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBox(t, inbox.Config{Dir: dir, MaxMessages: 2})
	for _, subject := range []string{"one", "two", "three"} {
		b.deliver(plain(subject), "ada@example.com")
	}
	require.Equal(t, []string{"three", "two"}, b.list(nil).subjects())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 4, "a message and its summary each")
	b.stop()
	require.Equal(t, []string{"three"}, newBox(t, inbox.Config{Dir: dir, MaxMessages: 1}).list(nil).subjects())
}

func TestInbox_KeepsMailOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newBox(t, inbox.Config{Dir: dir})
	first.deliver(mixed, "ada@example.com")
	want := first.newest()
	first.stop()
	for name, text := range map[string]string{"cut off.new": "{", "broken.json": "{", "0.json": `{"id": "../1"}`, "lonely.eml": "x"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}

	second := newBox(t, inbox.Config{Dir: dir})
	require.Equal(t, want, second.newest())
	require.Equal(t, 1, second.list(nil).Total, "what is not whole is no message")
	source, _ := second.get("/api/v1/messages/"+want.ID+"/source", http.StatusOK)
	require.Equal(t, mixed, source)
}

func TestInbox_RefusesRecipients(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	refused := func(err error, code int, enhanced smtp.EnhancedCode) {
		t.Helper()
		var answer *smtp.SMTPError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, [2]any{code, enhanced}, [2]any{answer.Code, answer.EnhancedCode})
	}
	for range 2 {
		refused(b.send(plain("x"), "ada+bounce@example.com"), 550, smtp.EnhancedCode{5, 1, 1})
		refused(b.send(plain("x"), "ada+defer@example.com"), 451, smtp.EnhancedCode{4, 7, 1})
	}
	for _, message := range []string{plain("one"), plain("two")} {
		for _, to := range []string{"ada+defer-once@example.com", "bob+defer-once@example.com"} {
			refused(b.send(message, to), 451, smtp.EnhancedCode{4, 7, 1})
			require.NoError(t, b.send(message, to), "the first attempt only")
		}
	}
	require.NoError(t, b.send(plain("x"), "ada+bounced@example.com", "bounce@example.com"))
	require.Equal(t, 5, b.list(nil).Total)
}

func TestInbox_TakesAnyLoginAndUnicode(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	c, err := smtp.Dial(b.SMTPAddr())
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // a test's
	require.NoError(t, c.Auth(sasl.NewPlainClient("", "anybody", "anything")))
	require.NoError(t, c.Mail("jürgen@acme.com", &smtp.MailOptions{UTF8: true}))
	require.NoError(t, c.Rcpt("用户@example.com", nil))
	data, err := c.Data()
	require.NoError(t, err)
	_, err = data.Write([]byte(plain("x")))
	require.NoError(t, err)
	require.NoError(t, data.Close())
	require.Equal(t, "jürgen@acme.com", b.newest().From)
	require.Equal(t, []string{"用户@example.com"}, b.newest().To)
}

func TestInbox_MessageIsTooLarge(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{MaxMessageBytes: 1000})
	require.Error(t, b.send(plain(strings.Repeat("x", 1000)), "ada@example.com"))
	require.Zero(t, b.list(nil).Total)
}

// Every message can be read, also when many come at the same time.
func TestInbox_ManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{Dir: t.TempDir()})
	const senders, each = 8, 12
	var sending sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			for i := range each {
				if err := b.send(plain(fmt.Sprintf("%d/%d", n, i)), "ada@example.com"); err != nil {
					t.Errorf("%d/%d: %v", n, i, err)
				}
			}
		})
	}
	sending.Wait()
	l := b.list(url.Values{"limit": {"1000"}})
	require.Len(t, l.Items, senders*each)
	for i, m := range l.Items {
		b.get("/api/v1/messages/"+m.ID, http.StatusOK)
		require.True(t, i == 0 || m.ID < l.Items[i-1].ID, "newest first")
	}
}

func TestInbox_StreamTellsOfNewMail(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	response, err := http.Get(b.URL() + "/api/v1/stream")
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // a test's
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	b.deliver(plain("news"), "ada@example.com")
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "event: message", lines.Text())
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), `"subject":"news"`)
	require.True(t, lines.Scan())
	require.Empty(t, lines.Text())

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, b.Close(ctx), "an open page holds nothing up")
	require.False(t, lines.Scan())
}

func TestStart_AddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close() //nolint:errcheck // a test's
	address := taken.Addr().String()
	_, err = inbox.Start(inbox.Config{SMTPAddr: address, HTTPAddr: "127.0.0.1:0"})
	require.ErrorContains(t, err, "listen for mail on "+address)
	_, err = inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: address})
	require.ErrorContains(t, err, "listen for the inbox page on "+address)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = inbox.Start(inbox.Config{Dir: file, SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"})
	require.ErrorContains(t, err, "folder of the inbox")
}
