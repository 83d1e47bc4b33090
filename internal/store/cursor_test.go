package store_test

import "encoding/base64"

// strangeCursors are cursors that no list gave.
var strangeCursors = []string{
	"!", "AAAA", "not a cursor", "AAAAAAAAAAAAAAAAAAAAAA==",
	encoded("2026-01-01T00:00:00Z"), encoded("yesterday acme-corp"), encoded(" acme-corp"),
	encoded("2026-01-01T00:00:00Z acme\x00corp"), encoded("2026-01-01T00:00:00Z acme\xffcorp"),
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
