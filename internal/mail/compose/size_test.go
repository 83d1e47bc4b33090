package compose_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
)

func TestEncodedSize(t *testing.T) {
	t.Parallel()
	file := func(n int) []compose.Attachment {
		return []compose.Attachment{{Filename: "f.bin", ContentType: "application/octet-stream", Content: bytes.Repeat([]byte("x"), n)}}
	}
	for name, m := range map[string]compose.Message{
		"small":             {Text: "Hi"},
		"text":              {Text: strings.Repeat("The quick brown fox jumps over the lazy dog. ", 3000)},
		"short lines":       {HTML: strings.Repeat("<br>\n", 20_000)},
		"empty lines":       {Text: strings.Repeat("\n", 20_000)},
		"CRLF":              {Text: strings.Repeat("line\r\n", 20_000)},
		"trailing space":    {Text: strings.Repeat("a \n", 20_000)},
		"control":           {Text: strings.Repeat("\x01", 20_000)},
		"equals":            {HTML: strings.Repeat(`<a href="x">`, 5000)},
		"umlauts":           {Text: strings.Repeat("äöüß", 5000)},
		"Japanese":          {Text: strings.Repeat("日本語", 5000), HTML: strings.Repeat("<p>日本語</p>\n", 5000)},
		"emoji":             {Text: strings.Repeat("😀", 5000)},
		"subject":           {Text: "x", Subject: strings.Repeat("長", 2000)},
		"one-word subject":  {Text: "x", Subject: strings.Repeat("x", 2000)},
		"headers":           {Text: "x", Headers: []compose.Header{{"X-A", strings.Repeat("ü ", 3000)}, {"X-B", strings.Repeat("😀", 3000)}}},
		"ASCII headers":     {Text: "x", Headers: []compose.Header{{"X-A", strings.Repeat("word ", 3000)}}},
		"recipients":        {Text: "x", To: recipients(50, strings.Repeat("長", 200)), Cc: recipients(50, "Ada Lovelace")},
		"sender":            {Text: "x", From: recipients(1, strings.Repeat("😀", 200))[0], ReplyTo: &recipients(1, strings.Repeat("😀", 200))[0]},
		"empty file":        {Text: "x", Attachments: file(0)},
		"file":              {Text: "x", Attachments: file(1_000_000)},
		"file with a name":  {Text: "x", Attachments: []compose.Attachment{{Filename: strings.Repeat("書", 255), ContentType: "a/b"}}},
		"twenty small ones": {Text: "x", HTML: "<p>", Attachments: many(compose.MaxAttachments)},
	} {
		m.MessageID = "msg_1@acme.com"
		size, estimate := len(made(t, m)), compose.EncodedSize(m)
		require.GreaterOrEqual(t, float64(estimate), 0.9*float64(size), "%s: real size %d", name, size)
		require.LessOrEqual(t, estimate, 2*size+12_000, "%s: real size %d", name, size)
	}
}

// A file that the limit lets through must not be refused for what base64 adds by estimate.
func TestEncodedSize_FollowsTheContent(t *testing.T) {
	t.Parallel()
	m := compose.Message{Text: "x", Attachments: []compose.Attachment{{ContentType: "a/b", Content: make([]byte, 18<<20)}}}
	require.Less(t, compose.EncodedSize(m), compose.MaxEncodedBytes)
	m.Attachments[0].Content = make([]byte, 19<<20)
	require.Greater(t, compose.EncodedSize(m), compose.MaxEncodedBytes)
}

func recipients(n int, name string) []address.Address {
	all := make([]address.Address, n)
	for i := range all {
		all[i] = address.Address{Name: name, Addr: "somebody.with.an.address@mail.example.com"}
	}
	return all
}

func many(n int) []compose.Attachment {
	all := make([]compose.Attachment, n)
	for i := range all {
		all[i] = compose.Attachment{Filename: "f.txt", ContentType: "text/plain", ContentID: strings.Repeat("i", 1+i%3), Content: []byte("x")}
	}
	return all
}
