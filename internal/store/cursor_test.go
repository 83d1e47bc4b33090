package store_test

import "encoding/base64"

// strangeCursors are cursors that no list gave.
var strangeCursors = []string{
	"!", "AAAA", "not a cursor", "AAAAAAAAAAAAAAAAAAAAAA==",
	encoded("2026-01-01T00:00:00Z"), encoded("{}"), encoded("null"), encoded(`{"s":"name"}`),
	encoded(`{"s":"createdAt","i":"acme\u0000corp"}`), encoded(`{"s":"createdAt","k":"yesterday at noon"}`), encoded(`{"s":"createdAt","k":1}`),
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
