package inbox

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]summary{
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@a>\r\n\r\nx": {Subject: "Grüße", MessageID: "1@a"},
		"Subject: =?x-none?q?a?=\r\n\r\n":                                    {Subject: "=?x-none?q?a?="},
		"Content-Type: Multipart/Mixed; boundary=b\r\n\r\n":                  {Attachments: true},
		"\r\n":             {},
		"no header at all": {Subject: "(this message can not be read)"},
	} {
		require.Equal(t, want, summarize([]byte(in)), "%q", in)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	got := headers([]byte("A: 1\r\nB: =?utf-8?q?=C3=BC?=\r\n\tfolded\r\nA: 2\r\nbroken\r\n\r\nC: body"))
	require.Equal(t, []header{{"A", "1"}, {"B", "ü\tfolded"}, {"A", "2"}, {"broken", ""}}, got)
}

// Whatever comes in can be listed, and shown or refused.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "Subject: x\r\n\r\nbody", " \r\n\r\n", ":\r\n folded\r\n\r\n", "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=x\r\n\r\n<p>\xff\r\n--b\r\n" +
			"Content-Disposition: attachment; filename=a\r\nContent-Transfer-Encoding: base64\r\n\r\n!!\r\n--b--",
		"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n", "Subject: =?utf-8?b?/w==?=\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := summarize(raw)
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		m, err := parse(s, raw)
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		for _, h := range m.Headers {
			if strings.Contains(h.Name, "\r\n") {
				t.Fatalf("a line break in %q", h.Name)
			}
		}
		for _, file := range m.Files {
			if file.Size != len(file.content) {
				t.Fatalf("%s has %d bytes, not %d", file.Filename, len(file.content), file.Size)
			}
		}
	})
}
