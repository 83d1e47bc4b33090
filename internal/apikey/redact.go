package apikey

import (
	"bytes"
	"regexp"
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
