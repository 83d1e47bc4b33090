package apikey

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

// keyForm is a key in a text, also one with a typing error, as long as its prefix is whole.
var keyForm = regexp.MustCompile(`(mt_(?:op|live)_[0-9A-Za-z]{12})[0-9A-Za-z]+`)

// Redact replaces the secrets of all keys in a text: what people paste into a wrong field must
// not end up in a log.
func Redact(text []byte) []byte {
	if !bytes.Contains(text, []byte("mt_")) {
		return text
	}
	return keyForm.ReplaceAll(text, []byte("$1…"))
}

// RedactText is Redact for a string.
func RedactText(text string) string {
	if !strings.Contains(text, "mt_") {
		return text
	}
	return string(Redact([]byte(text)))
}

// Redacted writes what it is given without the secrets of keys. It has to be given whole lines.
type Redacted struct{ io.Writer }

// Write writes the text, redacted.
func (r Redacted) Write(text []byte) (int, error) {
	if _, err := r.Writer.Write(Redact(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
