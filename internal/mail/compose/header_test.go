package compose_test

import (
	"mime"
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
)

// decoded is a header field as a mail program shows it.
func decoded(t testing.TB, value string) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(value)
	require.NoError(t, err)
	return s
}

// squeezed has one space for each run of white space: parsers drop what ends a folded line.
func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestCompose_Subjects(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"", "Hello", "Grüße aus Köln", "日本語の件名", "😀", "a\tb", `"quoted" <and> (more), even: this; =3D`, "=", "100 % = 100 %",
		strings.TrimSpace(strings.Repeat("word ", 100)), strings.Repeat("長い", 300), strings.TrimSpace(strings.Repeat("ä ", 500)),
		strings.Repeat("x", 2000), strings.Repeat("x", 900) + " " + strings.Repeat("y", 1100), "a" + strings.Repeat(" ", 500) + "b",
		"a" + strings.Repeat(" ", 1990) + "b",
	} {
		m := letter()
		m.Subject = subject
		parsed, e := opened(t, made(t, m))
		require.Equal(t, squeezed(subject), squeezed(decoded(t, parsed.Header.Get("Subject"))))
		require.Equal(t, squeezed(subject), squeezed(e.GetHeader("Subject")))
	}
}

func TestCompose_FoldsWhereItCan(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Subject = strings.TrimSpace(strings.Repeat("word ", 100))
	m.Headers = []compose.Header{
		{Name: "References", Value: strings.TrimSpace(strings.Repeat("<aaaaaaaaaaaaaaaaaaaaaaaa@example.com> ", 20))},
		{Name: "X-Blank", Value: "a" + strings.Repeat(" ", 300) + "b"},
	}
	for range 30 {
		m.To = append(m.To, address.Address{Name: "Ada Lovelace", Addr: "ada.lovelace@example.com"})
	}
	raw := made(t, m)
	header, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, line := range strings.Split(header, "\r\n") {
		if !strings.HasPrefix(line, "X-Blank") {
			require.LessOrEqual(t, len(line), 78, "RFC 5322 §2.1.1")
		}
	}
	parsed, _ := opened(t, raw)
	require.Equal(t, m.Subject, parsed.Header.Get("Subject"))
	require.Equal(t, m.Headers[0].Value, parsed.Header.Get("References"))
	require.Equal(t, "a b", squeezed(parsed.Header.Get("X-Blank")))
}

func TestCompose_Addresses(t *testing.T) {
	t.Parallel()
	all := []address.Address{
		{Addr: "ada@example.com"},
		{Name: "Ada Lovelace", Addr: "ada@example.com"},
		{Name: `Lovelace, "Ada" <the countess>`, Addr: "ada@example.com"},
		{Name: "Jürgen Müller", Addr: "j@example.com"},
		{Name: "用户", Addr: "用户@xn--fsqu00a.xn--4rr70v"},
		{Name: strings.Repeat("長", 200), Addr: strings.Repeat("a", 64) + "@" + strings.Repeat("abcdefgh.", 20) + "com"},
		{Name: strings.Repeat("😀", 200), Addr: "e@example.com"},
		{Name: strings.Repeat("n", 200), Addr: "n@example.com"},
		{Name: "a" + strings.Repeat(" ", 198) + "b", Addr: "blank@example.com"},
	}
	same := func(header mail.Header, name string, want []address.Address) {
		got, err := header.AddressList(name)
		require.NoError(t, err, name)
		require.Len(t, got, len(want), name)
		for i, a := range got {
			require.Equal(t, want[i].Addr, a.Address, "%s, number %d", name, i)
			require.Equal(t, squeezed(want[i].Name), squeezed(a.Name), "%s, number %d", name, i)
		}
	}
	m := letter()
	m.To, m.Cc = all, all
	parsed, _ := opened(t, made(t, m))
	same(parsed.Header, "To", all)
	same(parsed.Header, "Cc", all)
	for _, a := range all {
		m := letter()
		m.From, m.ReplyTo, m.To = a, &a, []address.Address{a}
		parsed, _ := opened(t, made(t, m))
		for _, name := range []string{"From", "Reply-To", "To"} {
			same(parsed.Header, name, []address.Address{a})
		}
		require.NotContains(t, parsed.Header, "Cc", "no empty fields: RFC 5322 §3.6.3")
	}
}

func TestCompose_Fields(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Headers = []compose.Header{{Name: "List-Unsubscribe", Value: "<https://acme.com/u?q=1>"}, {Name: "X-Note", Value: "für später"}}
	parsed, e := opened(t, made(t, m))
	require.Equal(t, "<msg_1@acme.com>", parsed.Header.Get("Message-Id"))
	require.Equal(t, "1.0", parsed.Header.Get("Mime-Version"))
	date, err := parsed.Header.Date()
	require.NoError(t, err)
	require.True(t, m.Date.Equal(date))
	require.Equal(t, "<https://acme.com/u?q=1>", parsed.Header.Get("List-Unsubscribe"))
	require.Equal(t, "für später", e.GetHeader("X-Note"))
	require.NotContains(t, parsed.Header, "Bcc", "a message has none; it is known to the envelope alone")
	require.NotContains(t, parsed.Header, "Reply-To")
}

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	const name = "invalid_header_name"
	for header, want := range map[compose.Header]string{
		{"X-Order", "4711"}: "",
		{"X-Empty", ""}:     "",
		{"List-Unsubscribe", "<mailto:u@acme.com>"}:       "",
		{"List-Unsubscribe-Post", "List-Unsubscribe=One"}: "",
		{"In-Reply-To", "<a@b.cd>"}:                       "",
		{"References", "<a@b.cd> <e@f.gh>"}:               "",
		{"Auto-Submitted", "auto-generated"}:              "",
		{"Precedence", "bulk"}:                            "",
		{"X-Tab", "a\tb"}:                                 "",
		{"X-Text", "für 日本 😀"}:                            "",
		{"X-!#$%&'*+/=?^_`{|}~", "odd, and allowed"}:      "",
		{strings.Repeat("x", 76), "1"}:                    "",
		{"Contents", "is not Content-…"}:                  "",
		{"X-Long", strings.Repeat("x", 990)}:              "",
		{"X-Long", strings.Repeat("word ", 2000)}:         "",
		{"X-Long", strings.Repeat("長", 2000)}:             "", // encoded words can be folded
		{"", "1"}:                                         name,
		{strings.Repeat("x", 77), "1"}:                    name,
		{"X Space", "1"}:                                  name,
		{"X-Colon:", "1"}:                                 name,
		{"X-Ü", "1"}:                                      name,
		{"X-Tab\t", "1"}:                                  name,
		{"X-A\r\nBcc", "1"}:                               name,
		{"X-A\n", "1"}:                                    name,
		{"X-\x00", "1"}:                                   name,
		{"X-\x7f", "1"}:                                   name,
		{"Bcc ", "1"}:                                     name,
		{"X-A", "1\r\nBcc: e@x.yz"}:                       "header_injection",
		{"X-A", "1\n"}:                                    "header_injection",
		{"X-A", "1\r"}:                                    "header_injection",
		{"X-A", "1\r\n folded"}:                           "header_injection",
		{"X-A", "1\x00"}:                                  "header_injection",
		{"X-A", "\x1b[1m"}:                                "header_injection",
		{"X-A", "\x7f"}:                                   "header_injection",
		{"X-A", "\xc3"}:                                   "invalid_value",
		{"X-Long", strings.Repeat("x", 991)}:              "header_too_long",
		{"X-Long", strings.Repeat(" ", 1000) + "x"}:       "header_too_long", // white space is not folded
		{"X-Long", "a " + strings.Repeat("b", 1000)}:      "header_too_long",
	} {
		code, message := compose.CheckHeader(header.Name, header.Value)
		require.Equal(t, want, code, "%q: %.50q", header.Name, header.Value)
		require.Equal(t, want == "", message == "", "a code has a message")
		if want == "" {
			m := letter()
			m.Headers = []compose.Header{header}
			parsed, _ := opened(t, made(t, m))
			require.Len(t, parsed.Header, 9, "%q", header.Name)
		}
	}
}

func TestCheckHeader_RefusesTheServersOwn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"From", "to", "CC", "bCc", "Sender", "Subject", "Date", "Message-ID", "Reply-To", "Return-Path", "Received",
		"DKIM-Signature", "DomainKey-Signature", "Authentication-Results", "Received-SPF", "MIME-Version", "Delivered-To", "X-Original-To",
		"Resent-From", "Resent-To", "Resent-Cc", "Resent-Bcc", "Resent-Date", "Resent-Message-ID", "Resent-Sender",
		"Content-Type", "content-transfer-encoding", "Content-Disposition", "ARC-Seal", "arc-message-signature", "X-Mailtura-Tenant",
	} {
		code, message := compose.CheckHeader(name, "x")
		require.Equal(t, "refused_header", code, name)
		require.NotEmpty(t, message)
	}
}

func TestCheckLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "plain": "", "tab\t": "", "日本 😀": "", "\u2028 is encoded": "",
		"\r": "header_injection", "a\nb": "header_injection", "a\r\n b": "header_injection", "\x00": "header_injection",
		"\x0b": "header_injection", "\x7f": "header_injection", "\xff": "invalid_value", "a\n\xff": "invalid_value",
	} {
		code, message := compose.CheckLine(in)
		require.Equal(t, want, code, "%q", in)
		require.Equal(t, want == "", message == "", "%q", in)
	}
}
