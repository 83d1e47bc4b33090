package store

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
)

func FuzzIDCursor(f *testing.F) {
	for _, s := range []string{"", "!", "AAAA", cursorOf(id.New()), cursorOf(last)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := idCursor(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if again, err := idCursor(cursorOf(u)); err != nil || again != u {
			t.Fatalf("%q is read as %s, which is read as %s (%v)", s, u, again, err)
		}
	})
}

func FuzzTimeCursor(f *testing.F) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
	f.Add(timeCursor{at: &at, id: "acme-corp"}.String())
	for _, s := range []string{
		"", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+23:59 a b", "x y", "2026-01-01T00:00:00Z \xff", "2026-01-01T00:00:00Z \x00",
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseTimeCursor(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if s == "" {
			return // the beginning
		}
		if strings.ContainsRune(c.id, 0) || !utf8.ValidString(c.id) {
			t.Fatalf("%q has an id that the database refuses: %q", s, c.id)
		}
		if again, err := parseTimeCursor(c.String()); err == nil && (!again.at.Equal(*c.at) || again.id != c.id) {
			t.Fatalf("%q is read as %v, which is read as %v", s, c, again)
		}
	})
}
