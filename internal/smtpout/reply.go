package smtpout

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/emersion/go-smtp"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// maxReply is how much of an answer is kept.
const maxReply = 1000

// replyOf is the server's answer within an error; ok is false when there was none.
func replyOf(err error) (r outcome.Reply, ok bool) {
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		return outcome.Reply{}, false
	}
	r = outcome.Reply{Code: answer.Code, Text: clean(answer.Message)}
	if c := answer.EnhancedCode; c[0] > 0 {
		r.Enhanced = fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
	}
	return r, true
}

var enhancedCode = regexp.MustCompile(`^([245]\.\d{1,3}\.\d{1,3}) `)

// parseReply reads the text of an answer whose code is known (RFC 2034).
func parseReply(code int, text string) outcome.Reply {
	r := outcome.Reply{Code: code, Text: clean(text)}
	if m := enhancedCode.FindStringSubmatch(text); m != nil {
		r.Enhanced, r.Text = m[1], clean(text[len(m[0]):])
	}
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
