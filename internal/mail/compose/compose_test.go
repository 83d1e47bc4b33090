package compose_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
)

// letter is a message with nothing but what every message has.
func letter() compose.Message {
	return compose.Message{
		MessageID: "msg_1@acme.com",
		Date:      time.Date(2026, 3, 9, 14, 5, 6, 0, time.FixedZone("", 3600)),
		From:      address.Address{Name: "Acme", Addr: "noreply@acme.com"},
		To:        []address.Address{{Addr: "ada@example.com"}},
		Subject:   "Hello",
		Text:      "Hi Ada,\nwelcome.\n",
	}
}

// made composes and checks what holds for every message: each line ends in CRLF, none is
// too long or has a bare CR or LF, and the same message gives the same bytes.
func made(t testing.TB, m compose.Message) []byte {
	t.Helper()
	raw, err := compose.Compose(m)
	require.NoError(t, err)
	again, err := compose.Compose(m)
	require.NoError(t, err)
	require.Equal(t, raw, again, "the same message, the same bytes")
	for _, line := range strings.Split(string(raw), "\r\n") {
		require.LessOrEqual(t, len(line), 998)
		require.False(t, strings.ContainsAny(line, "\r\n"), "a bare line break in %q", line)
	}
	header, _, found := strings.Cut(string(raw), "\r\n\r\n")
	require.True(t, found)
	for _, line := range strings.Split(header, "\r\n") {
		require.NotEmpty(t, strings.Trim(line, " \t"), "a line of white space in the header:\n%s", header)
	}
	return raw
}

// opened is a message as two parsers read it.
func opened(t testing.TB, raw []byte) (*mail.Message, *enmime.Envelope) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	require.NoError(t, err)
	e, err := enmime.ReadEnvelope(bytes.NewReader(raw))
	require.NoError(t, err)
	for _, flaw := range e.Errors {
		require.Equal(t, enmime.ErrorPlainTextFromHTML, flaw.Name, flaw.Error())
	}
	return m, e
}

func TestCompose_Wire(t *testing.T) {
	t.Parallel()
	m := letter()
	m.ReplyTo = &address.Address{Name: "Support", Addr: "support@acme.com"}
	m.Cc = []address.Address{{Name: "Bob", Addr: "bob@example.com"}}
	m.Headers = []compose.Header{{Name: "X-Order", Value: "4711"}, {Name: "List-Id", Value: "<news.acme.com>"}}
	m.Text = "1 + 1 = 2\nGrüße\n"
	require.Equal(t, strings.ReplaceAll(`Date: Mon, 09 Mar 2026 14:05:06 +0100
Message-ID: <msg_1@acme.com>
From: "Acme" <noreply@acme.com>
Reply-To: "Support" <support@acme.com>
To: ada@example.com
Cc: "Bob" <bob@example.com>
Subject: Hello
X-Order: 4711
List-Id: <news.acme.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

1 + 1 =3D 2
Gr=C3=BC=C3=9Fe
`, "\n", "\r\n"), string(made(t, m)))
}

func TestCompose_Text(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                       "plain",
		"two\nlines\n":                "two\r\nlines\r\n",
		"two\r\nlines\r\n":            "two\r\nlines\r\n",
		"old\rMac":                    "old\r\nMac",
		".\n..\n":                     ".\r\n..\r\n",
		"From here\n":                 "From here\r\n",
		"trailing space \nand tab\t":  "trailing space \r\nand tab\t",
		"= =3D ?= =?utf-8?q?x?=":      "= =3D ?= =?utf-8?q?x?=",
		"日本語 😀 ü":                     "日本語 😀 ü",
		"not \xff UTF-8":              "not \uFFFD UTF-8",
		strings.Repeat("long ", 1000): strings.Repeat("long ", 1000),
		strings.Repeat("長", 1000):     strings.Repeat("長", 1000),
	} {
		m := letter()
		m.Text = in
		raw := made(t, m)
		_, e := opened(t, raw)
		require.Equal(t, want, e.Text)
		require.Empty(t, e.HTML)
		require.Equal(t, "text/plain", e.Root.ContentType)
		_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		for _, line := range strings.Split(body, "\r\n") {
			require.LessOrEqual(t, len(line), 76, "quoted-printable: RFC 2045 §6.7")
		}
		require.Equal(t, -1, strings.IndexFunc(body, func(r rune) bool { return r >= 0x7f }), "7-bit")
	}
}

func TestCompose_HTMLOnly(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Text, m.HTML = "", `<p style="color:red">Grüße</p>`
	_, e := opened(t, made(t, m))
	require.Equal(t, "text/html", e.Root.ContentType)
	require.Equal(t, "utf-8", e.Root.Charset)
	require.Equal(t, m.HTML, e.HTML)
}

func TestCompose_AlternativeWithTheBestLast(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Text, m.HTML = "Hi\r\n", "<p>Hi</p>\r\n"
	_, e := opened(t, made(t, m))
	require.Equal(t, "multipart/alternative", e.Root.ContentType)
	require.Equal(t, "text/plain", e.Root.FirstChild.ContentType, "the better one is the last: RFC 2046 §5.1.4")
	require.Equal(t, "text/html", e.Root.FirstChild.NextSibling.ContentType)
	require.Nil(t, e.Root.FirstChild.NextSibling.NextSibling)
	require.Equal(t, m.Text, e.Text)
	require.Equal(t, m.HTML, e.HTML)
}

func TestCompose_Nesting(t *testing.T) {
	t.Parallel()
	m := letter()
	m.HTML = `<img src="cid:logo">`
	logo := compose.Attachment{Filename: "logo.png", ContentType: "image/png", ContentID: "logo", Content: []byte("\x89PNG\r\n\x1a\n\x00")}
	file := compose.Attachment{Filename: "a.pdf", ContentType: "application/pdf", Content: bytes.Repeat([]byte{0, 1, 0xff}, 1000)}
	m.Attachments = []compose.Attachment{file, logo}
	_, e := opened(t, made(t, m))
	require.Equal(t, "multipart/mixed", e.Root.ContentType)
	related := e.Root.FirstChild
	require.Equal(t, "multipart/related", related.ContentType)
	require.Equal(t, "multipart/alternative", related.FirstChild.ContentType)

	require.Len(t, e.Inlines, 1)
	require.Same(t, related.FirstChild.NextSibling, e.Inlines[0])
	require.Equal(t, "logo", e.Inlines[0].ContentID)
	require.Equal(t, "logo.png", e.Inlines[0].FileName)
	require.Equal(t, "image/png", e.Inlines[0].ContentType)
	require.Equal(t, logo.Content, e.Inlines[0].Content)

	require.Len(t, e.Attachments, 1)
	require.Equal(t, "a.pdf", e.Attachments[0].FileName)
	require.Equal(t, file.Content, e.Attachments[0].Content)
}

func TestCompose_NothingToShowAnImageIn(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Attachments = []compose.Attachment{{Filename: "logo.png", ContentType: "image/png", ContentID: "logo", Content: []byte("x")}}
	_, e := opened(t, made(t, m))
	require.Empty(t, e.Inlines)
	require.Len(t, e.Attachments, 1, "a text shows no image; it is a file")
}

func TestCompose_Base64(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 3, 56, 57, 58, 114, 10_000} {
		m := letter()
		content := bytes.Repeat([]byte{0xfb}, size)
		m.Attachments = []compose.Attachment{{Filename: "f", ContentType: "application/octet-stream", Content: content}}
		raw := made(t, m)
		_, e := opened(t, raw)
		require.Len(t, e.Attachments, 1, size)
		require.Len(t, e.Attachments[0].Content, size)
		require.True(t, bytes.Equal(content, e.Attachments[0].Content))
		_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		for _, line := range strings.Split(body, "\r\n") {
			require.LessOrEqual(t, len(line), 76, "RFC 2045 §6.8")
		}
	}
}

func TestCompose_Filenames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"invoice.pdf", "with space.txt", `quo"te\back.txt`, "semi;colon=.txt", "Rechnung für Müller.pdf", "請求書.pdf", "😀.png", "%41'.txt",
		strings.Repeat("n", 251) + ".txt", strings.Repeat("ü", 251) + ".txt", strings.Repeat("書", 255), strings.Repeat("😀", 255),
	} {
		m := letter()
		m.Attachments = []compose.Attachment{{Filename: name, ContentType: "text/csv", Content: []byte("1;2")}}
		raw := made(t, m)
		require.Equal(t, -1, strings.IndexFunc(string(raw), func(r rune) bool { return r >= 0x7f }), "%s: 7-bit", name)
		_, e := opened(t, raw)
		require.Len(t, e.Attachments, 1, name)
		require.Equal(t, name, e.Attachments[0].FileName)
	}
}

func TestCompose_ContentTypes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"application/pdf": "application/pdf",
		"text/calendar; method=REQUEST; charset=utf-8":  "text/calendar; method=REQUEST; charset=utf-8",
		`application/pdf; name="Müller.pdf"; version=2`: "application/pdf; version=2",
		"a/b; ü": "application/octet-stream",
	} {
		m := letter()
		m.Attachments = []compose.Attachment{{Filename: "f", ContentType: in, Content: []byte("x")}}
		require.Contains(t, string(made(t, m)), "\r\nContent-Type: "+want+"\r\n", in)
	}
}

func TestCompose_DifferentBoundaries(t *testing.T) {
	t.Parallel()
	m := letter()
	m.HTML = "<p>Hi</p>"
	one := made(t, m)
	m.MessageID = "msg_2@acme.com"
	_, e := opened(t, one)
	_, other := opened(t, made(t, m))
	require.NotEqual(t, e.Root.Boundary, other.Root.Boundary, "a message quoted in another does not end it")
}

func TestCompose_RefusesWhatNoCheckLetsThrough(t *testing.T) {
	t.Parallel()
	const evil = "x\r\nBcc: eve@example.com"
	for name, change := range map[string]func(*compose.Message){
		"no content":           func(m *compose.Message) { m.Text = "" },
		"message id":           func(m *compose.Message) { m.MessageID = evil },
		"subject":              func(m *compose.Message) { m.Subject = evil },
		"bare LF":              func(m *compose.Message) { m.Subject = "a\nb" },
		"bare CR":              func(m *compose.Message) { m.Subject = "a\rb" },
		"NUL":                  func(m *compose.Message) { m.Subject = "a\x00b" },
		"subject not UTF-8":    func(m *compose.Message) { m.Subject = "\xff" },
		"from name":            func(m *compose.Message) { m.From.Name = evil },
		"from address":         func(m *compose.Message) { m.From = address.Address{Addr: evil} },
		"reply-to name":        func(m *compose.Message) { m.ReplyTo = &address.Address{Name: evil, Addr: "a@b.cd"} },
		"reply-to address":     func(m *compose.Message) { m.ReplyTo = &address.Address{Addr: evil} },
		"to name":              func(m *compose.Message) { m.To[0].Name = evil },
		"to address":           func(m *compose.Message) { m.To[0].Addr = evil },
		"cc address":           func(m *compose.Message) { m.Cc = []address.Address{{Addr: evil}} },
		"header name":          func(m *compose.Message) { m.Headers = []compose.Header{{Name: evil, Value: "1"}} },
		"header value":         func(m *compose.Message) { m.Headers = []compose.Header{{Name: "X-A", Value: evil}} },
		"header of the server": func(m *compose.Message) { m.Headers = []compose.Header{{Name: "bCC", Value: "eve@example.com"}} },
		"filename":             func(m *compose.Message) { m.Attachments = []compose.Attachment{{Filename: evil}} },
		"content type":         func(m *compose.Message) { m.Attachments = []compose.Attachment{{ContentType: evil}} },
		"content id":           func(m *compose.Message) { m.Attachments = []compose.Attachment{{ContentID: evil}} },
	} {
		m := letter()
		change(&m)
		raw, err := compose.Compose(m)
		require.ErrorContains(t, err, "compose: ", name)
		require.Nil(t, raw, name)
	}
}
