package smtpout

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// maxReply is how much of an answer is kept.
const maxReply = 1000

var enhancedCode = regexp.MustCompile(`^([245]\.\d{1,3}\.\d{1,3})(?: |$)`)

// parseReply reads an answer whose code is known. The enhanced code (RFC 2034) stands on
// each of its lines, and is of the class of the code.
func parseReply(code int, lines []string) outcome.Reply {
	r := outcome.Reply{Code: code}
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line
		if m := enhancedCode.FindStringSubmatch(line); m != nil {
			r.Enhanced, texts[i] = m[1], line[len(m[0]):]
		}
	}
	r.Text = clean(strings.Join(texts, " "))
	return r
}

// clean makes an answer fit to be stored and shown: one line of valid text, not too long.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > maxReply {
		return strings.TrimSpace(string(r[:maxReply]))
	}
	return text
}
