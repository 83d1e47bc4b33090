package compose

import (
	"encoding/base64"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/mail/address"
)

const (
	foldAt    = 76  // characters of a line, where it can be folded: RFC 5322 §2.1.1
	maxOctets = 998 // of a line, never to be exceeded
)

// field writes a header field as it is.
func (w *writer) field(name, value string) {
	w.buf.WriteString(name)
	w.buf.WriteString(": ")
	w.buf.WriteString(value)
	w.buf.WriteString("\r\n")
}

// text writes a header field of free text: encoded where it is not ASCII or can not be
// folded otherwise, and folded.
func (w *writer) text(name, value string) {
	folded := foldText(name, value)
	if overlong(name, folded) { // ASCII, since other text is in short encoded words already
		var words []string
		for chunk := range slices.Chunk([]byte(value), 45) {
			words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString(chunk)+"?=")
		}
		folded = fold(len(name)+2, words)
	}
	w.field(name, folded)
}

// foldText is free text as a header field has it.
func foldText(name, value string) string {
	return fold(len(name)+2, strings.Split(mime.QEncoding.Encode("utf-8", value), " "))
}

// overlong reports whether a line of a folded header field has more octets than a line may have.
func overlong(name, folded string) bool {
	return slices.ContainsFunc(strings.Split(folded, "\r\n"), func(line string) bool { return len(name)+2+len(line) > maxOctets })
}

// addresses writes a list of addresses, one a line where they do not fit in one.
func (w *writer) addresses(name string, list []address.Address) {
	if len(list) == 0 {
		return
	}
	var words []string
	for i, a := range list {
		word := a.String()
		if i < len(list)-1 {
			word += ","
		}
		if len(word) > foldAt { // a long name, which is in several words
			words = append(words, strings.Split(word, " ")...)
			continue
		}
		words = append(words, word)
	}
	w.field(name, fold(len(name)+2, words))
}

// fold joins words by spaces, and by folds where a line would be too long. There is no
// fold before white space: a line of nothing else must not be (RFC 5322 §3.2.2).
func fold(used int, words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			if used+1+len(word) > foldAt && strings.Trim(word, "\t") != "" {
				b.WriteString("\r\n")
				used = 0
			}
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}

// refused are the header fields that are not the caller's to set, in lower case.
var refused = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "sender": true, "subject": true, "date": true,
	"message-id": true, "reply-to": true, "return-path": true, "received": true, "dkim-signature": true,
	"domainkey-signature": true, "authentication-results": true, "received-spf": true, "mime-version": true,
	"delivered-to": true, "x-original-to": true, "resent-from": true, "resent-to": true, "resent-cc": true,
	"resent-bcc": true, "resent-date": true, "resent-message-id": true, "resent-sender": true,
}

// refusedPrefixes are families of such fields.
var refusedPrefixes = []string{"content-", "arc-", "x-mailtura-"}

// CheckHeader reports why a caller may not set a header field; an empty code: it may.
func CheckHeader(name, value string) (code, message string) {
	if name == "" || len(name) > 76 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		return "invalid_header_name", "a header name has 1 to 76 printable ASCII characters and no colon"
	}
	lower := strings.ToLower(name)
	if refused[lower] {
		return "refused_header", "this header is set by the server"
	}
	for _, prefix := range refusedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return "refused_header", "headers that begin with " + prefix + " are set by the server"
		}
	}
	if code, message := CheckLine(value); code != "" {
		return code, message
	}
	if overlong(name, foldText(name, value)) {
		return "header_too_long", "the header can not be folded into lines of at most 998 octets"
	}
	return "", ""
}

// CheckLine reports why a text can not stand in a header; an empty code: it can.
func CheckLine(s string) (code, message string) {
	if !utf8.ValidString(s) {
		return "invalid_value", "not valid UTF-8"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) {
		return "header_injection", "has a line break or another control character"
	}
	return "", ""
}
