package store

import (
	"encoding/base64"
	"testing"

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

func FuzzTenantPlace(f *testing.F) {
	f.Add(tenantPlace{Sort: ByName, Key: "acme", ID: "acme-corp"}.String())
	f.Add(tenantPlace{Sort: ByName, Key: "-1", ID: "acme-corp"}.String())
	for _, s := range []string{"", "{}", `{"s":"name","i":"\xff"}`, `{"s":"name","k":"\u0000"}`, `{"s":"used"}`, `{"s":"name","k":1}`, "null"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	f.Fuzz(func(t *testing.T, s string) {
		place, err := TenantQuery{Sort: ByName, After: s}.place()
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if place == nil {
			return // the beginning
		}
		if !storable(place.ID) || !storable(place.Key) {
			t.Fatalf("%q is a place that the database refuses: %q", s, place)
		}
		again, err := TenantQuery{Sort: ByName, After: place.String()}.place()
		if err != nil || *again != *place {
			t.Fatalf("%q is read as %v, which is read as %v (%v)", s, place, again, err)
		}
	})
}
