package smtpout

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

func TestParseReply(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]outcome.Reply{
		"2.0.0 Queued as 4711":            {Code: 250, Enhanced: "2.0.0", Text: "Queued as 4711"},
		"OK":                              {Code: 250, Text: "OK"},
		"":                                {Code: 250},
		"2.0.0":                           {Code: 250, Enhanced: "2.0.0"},
		"2.0 OK":                          {Code: 250, Text: "2.0 OK"},
		"2.0.0 ok\n2.0.0 \tmore\n ":       {Code: 250, Enhanced: "2.0.0", Text: "ok more"},
		"first\n2.6.0 second":             {Code: 250, Enhanced: "2.6.0", Text: "first second"},
		"3.0.0 no such class":             {Code: 250, Text: "3.0.0 no such class"},
		"a\x00b\x1bc\x7fd":                {Code: 250, Text: "abcd"},
		"caf\xe9":                         {Code: 250, Text: "caf\uFFFD"},
		strings.Repeat("ü", 2000):         {Code: 250, Text: strings.Repeat("ü", maxReply)},
		"2.0.0 " + strings.Repeat(" ", 9): {Code: 250, Enhanced: "2.0.0"},
	} {
		require.Equal(t, want, parseReply(250, strings.Split(in, "\n")), "%q", in)
	}
}

func TestReplyOf(t *testing.T) {
	t.Parallel()
	want := outcome.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}
	r, ok := replyOf(fmt.Errorf("rcpt: %w", &refusal{want}))
	require.True(t, ok)
	require.Equal(t, want, r)
	_, ok = replyOf(errors.New("connection reset"))
	require.False(t, ok)
}

// wire is a connection on which a server has said everything already.
type wire struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error) { return w.out.Write(p) }
func (w *wire) SetDeadline(time.Time) error { return nil }
func (w *wire) Close() error                { return nil }
func newWire(said string) (c *client, w *wire) {
	w = &wire{in: bytes.NewReader([]byte(said))}
	return newClient(w, time.Second), w
}

func TestClient_Read(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]outcome.Reply{
		"250 2.1.0 OK\r\n": {Code: 250, Enhanced: "2.1.0", Text: "OK"},
		"250\r\n":          {Code: 250},
		"550-5.7.1 Blocked\r\n550 5.7.1 see example\r\n": {Code: 550, Enhanced: "5.7.1", Text: "Blocked see example"},
		"451 later\n": {Code: 451, Text: "later"},
	} {
		c, _ := newWire(said)
		r, err := c.read()
		require.NoError(t, err, "%q", said)
		require.Equal(t, want, r)
	}
	for _, said := range []string{
		"", "25", "250 OK", "HTTP/1.1 400 Bad\r\n", "999 no\r\n", "150 no\r\n", "250_OK\r\n", "\r\n",
		strings.Repeat("250-more\r\n", maxLines+1), "250 " + strings.Repeat("x", maxLine) + "\r\n",
	} {
		c, _ := newWire(said)
		_, err := c.read()
		require.Error(t, err, "%.40q", said)
		_, answered := replyOf(err)
		require.False(t, answered)
	}
}

func TestClient_DoublesDots(t *testing.T) {
	t.Parallel()
	for msg, want := range map[string]string{
		"a\r\n":                "a\r\n.\r\n",
		".\r\n":                "..\r\n.\r\n",
		"a\r\n.\r\n..b\r\nc.d": "a\r\n..\r\n...b\r\nc.d\r\n.\r\n",
		"":                     "\r\n.\r\n",
	} {
		c, w := newWire("")
		require.NoError(t, c.write([]byte(msg)))
		require.NoError(t, c.finish())
		require.Equal(t, want, w.out.String())
	}
}

func TestClient_PipelinesTheEnvelope(t *testing.T) {
	t.Parallel()
	const sent = "MAIL FROM:<a@acme.com> SIZE=7\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
	env := Envelope{From: "a@acme.com", To: "b@example.com"}
	for said, want := range map[string]struct {
		phase outcome.Phase
		code  int // of the refusal
		sent  string
	}{
		"250 ok\r\n250 ok\r\n354 go\r\n":               {outcome.Data, 0, sent},
		"451 no\r\n503 no\r\n503 no\r\n":               {outcome.Mail, 451, sent},
		"250 ok\r\n550 no\r\n554 no\r\n":               {outcome.Rcpt, 550, sent},
		"250 ok\r\n550 no\r\n354 go\r\n554 nobody\r\n": {outcome.Rcpt, 550, sent + ".\r\n"},
		"250 ok\r\n250 ok\r\n452 full\r\n":             {outcome.Data, 452, sent},
		"250 ok\r\n550 no\r\n" /* and it hangs up */ :  {outcome.Rcpt, 550, sent},
	} {
		c, w := newWire(said)
		c.extensions = map[string]string{"PIPELINING": "", "SIZE": ""}
		phase, err := c.envelope(env, 7)
		require.Equal(t, want.phase, phase, "%q", said)
		require.Equal(t, want.sent, w.out.String())
		r, _ := replyOf(err)
		require.Equal(t, want.code, r.Code)
	}
}

func TestDialogue_HasNoCredentials(t *testing.T) {
	t.Parallel()
	c, _ := newWire("250-relay\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n")
	require.NoError(t, c.hello("client"))
	require.NoError(t, c.login("joe", "sesame"))
	require.Equal(t, "C: EHLO client\nS: 250-relay\nS: 250 AUTH LOGIN\nC: AUTH (credentials)\nS: 334 VXNlcm5hbWU6\n"+
		"C: (credentials)\nS: 334 UGFzc3dvcmQ6\nC: (credentials)\nS: 235 ok", c.said.take())
	require.Empty(t, c.said.take())
}

// What a server says is stored and shown: lines that are valid and bounded.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		"250-a\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 OK\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "\xff\x00\x1b[31m",
		"250 ok\r\n250 ok\r\n550 4.7.1 \r\n354 " + strings.Repeat("é ", 900) + "\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		c, _ := newWire(said)
		_ = c.hello("client")
		_, err := c.envelope(Envelope{From: "a@acme.com", To: "b@example.com"}, 1)
		r, _ := replyOf(err)
		if !utf8.ValidString(r.Text) || utf8.RuneCountInString(r.Text) > maxReply || strings.ContainsFunc(r.Text, unicode.IsControl) {
			t.Fatalf("%q becomes %q", said, r.Text)
		}
		if again := clean(r.Text); again != r.Text {
			t.Fatalf("%q is not clean: %q", r.Text, again)
		}
		for line := range strings.SplitSeq(c.said.take(), "\n") {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
				t.Fatalf("the dialogue has %q", line)
			}
		}
	})
}
