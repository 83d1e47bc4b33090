package compose_test

import (
	"bytes"
	"maps"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/mailtura/mailtura/internal/mail/compose"
)

// Whatever CheckHeader lets through is one field, and it is the one that was asked for.
func FuzzCheckHeader(f *testing.F) {
	for name, value := range map[string]string{
		"X-Order": "4711", "bcc": "e@x.yz", "X-A\r\nBcc": "1", "X-B": "a\r\nBcc: e@x.yz", "X-C": "für 日本 😀", "X-D": "a\tb  c \t ",
		"X-E": strings.Repeat("x", 990), "X-F": strings.Repeat(" ", 300) + "Bcc: x", "X-G": "=?utf-8?q?=0D=0ABcc:_x?=",
	} {
		f.Add(name, value)
	}
	fields := []string{
		"Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To",
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		m := letter()
		m.Headers = []compose.Header{{Name: name, Value: value}}
		code, _ := compose.CheckHeader(name, value)
		raw, err := compose.Compose(m)
		if (code == "") != (err == nil) {
			t.Fatalf("%q: %q: CheckHeader says %q, Compose %v", name, value, code, err)
		}
		if err != nil {
			return
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v:\n%s", err, raw)
		}
		got := slices.Collect(maps.Keys(parsed.Header))
		if len(got) != len(fields)+1 || slices.ContainsFunc(fields, func(f string) bool { return len(parsed.Header[f]) != 1 }) {
			t.Fatalf("the fields are %q:\n%s", got, raw)
		}
		checkForm(t, raw)
	})
}

// Whatever Compose takes comes out again, in the form of RFC 5322.
func FuzzCompose(f *testing.F) {
	f.Add("Hello", "Ada", "hi\n", "<p>hi</p>", "a.txt", []byte("x"))
	f.Add("für 日本 😀", "Jürgen, \"x\"", ".\r\n.\r\n", "", "書.pdf", []byte{0, 0xff})
	f.Add(strings.Repeat("x", 2000), strings.Repeat("長", 200), "\xff", "=\r", strings.Repeat("😀", 255), []byte(nil))
	f.Fuzz(func(t *testing.T, subject, name, text, html, filename string, content []byte) {
		m := letter()
		m.Subject, m.To[0].Name, m.Text, m.HTML = subject, name, text, html
		m.Attachments = []compose.Attachment{{Filename: filename, ContentType: "application/octet-stream", Content: content}}
		raw, err := compose.Compose(m)
		if err != nil {
			return
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v:\n%s", err, raw)
		}
		if len(parsed.Header) != 7 {
			t.Fatalf("the fields are %v:\n%s", parsed.Header, raw)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		// Words that look encoded are decoded by the reader, and white space may be lost where a line ends.
		if !strings.Contains(subject, "=?") && (err != nil || !slices.Equal(strings.Fields(got), strings.Fields(subject))) {
			t.Fatalf("%q was read as %q (%v)", subject, got, err)
		}
		checkForm(t, raw)
	})
}

func checkForm(t *testing.T, raw []byte) {
	t.Helper()
	header, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, line := range strings.Split(header, "\r\n") {
		if strings.Trim(line, " \t") == "" {
			t.Fatalf("a line of white space in the header:\n%s", raw)
		}
	}
	for _, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q is not a line", line)
		}
	}
}
