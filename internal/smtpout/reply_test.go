package smtpout

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

func TestParseReply(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]outcome.Reply{
		"2.0.0 Queued as 4711":        {Code: 250, Enhanced: "2.0.0", Text: "Queued as 4711"},
		"OK":                          {Code: 250, Text: "OK"},
		"":                            {Code: 250},
		"2.0.0":                       {Code: 250, Text: "2.0.0"},
		"2.0 OK":                      {Code: 250, Text: "2.0 OK"},
		"2.0.0 ok\n2.0.0 \tmore\r\n ": {Code: 250, Enhanced: "2.0.0", Text: "ok 2.0.0 more"},
		"3.0.0 no such class":         {Code: 250, Text: "3.0.0 no such class"},
		"a\x00b\x1bc\x7fd":            {Code: 250, Text: "abcd"},
		"caf\xe9":                     {Code: 250, Text: "caf\uFFFD"},
		strings.Repeat("ü", 2000):     {Code: 250, Text: strings.Repeat("ü", maxReply)},
	} {
		require.Equal(t, want, parseReply(250, in), "%q", in)
	}
}

func TestReplyOf(t *testing.T) {
	t.Parallel()
	full := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No\nsuch user"}
	r, ok := replyOf(fmt.Errorf("rcpt: %w", full))
	require.True(t, ok)
	require.Equal(t, outcome.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}, r)

	for _, absent := range []smtp.EnhancedCode{smtp.EnhancedCodeNotSet, smtp.NoEnhancedCode} {
		r, ok = replyOf(&smtp.SMTPError{Code: 451, EnhancedCode: absent, Message: "Later"})
		require.True(t, ok)
		require.Equal(t, outcome.Reply{Code: 451, Text: "Later"}, r)
	}

	_, ok = replyOf(errors.New("connection reset"))
	require.False(t, ok)
}

// What a server says is stored and shown: one line, valid, bounded.
func FuzzParseReply(f *testing.F) {
	for _, s := range []string{"2.0.0 OK", "5.1.1 a\r\n5.1.1 b", "\xff\x00\x1b[31m", "4.7.1 ", strings.Repeat("é ", 900)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := parseReply(550, s)
		if !utf8.ValidString(r.Text) || utf8.RuneCountInString(r.Text) > maxReply || strings.ContainsFunc(r.Text, unicode.IsControl) {
			t.Fatalf("%q becomes %q", s, r.Text)
		}
		if again := clean(r.Text); again != r.Text {
			t.Fatalf("%q is not clean: %q", r.Text, again)
		}
		if r.Enhanced != "" && !enhancedCode.MatchString(r.Enhanced+" ") {
			t.Fatalf("%q has the enhanced code %q", s, r.Enhanced)
		}
	})
}
