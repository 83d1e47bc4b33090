package apiserver

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, tc := range map[string]struct {
		peer      string
		forwarded []string
		want      string // empty: not known
	}{
		"peer alone":                  {"203.0.113.9:1234", nil, "203.0.113.9"},
		"IPv6 peer":                   {"[2001:db8::1]:1234", nil, "2001:db8::1"},
		"IPv4 as IPv6":                {"[::ffff:203.0.113.9]:1234", nil, "203.0.113.9"},
		"peer with a zone":            {"[fe80::1%eth0]:1", nil, "fe80::1"},
		"no address":                  {"@", nil, ""},
		"untrusted peer forwards":     {"203.0.113.9:1", []string{"192.0.2.1"}, "203.0.113.9"},
		"proxy":                       {"10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"proxy as IPv4 in IPv6":       {"[::ffff:10.0.0.1]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"IPv6 proxy":                  {"[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		"proxy itself":                {"10.0.0.1:1", nil, "10.0.0.1"},
		"what the client wrote":       {"10.0.0.1:1", []string{"127.0.0.1, 192.0.2.1"}, "192.0.2.1"},
		"a trusted address he wrote":  {"10.0.0.1:1", []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1"},
		"in a header of its own":      {"10.0.0.1:1", []string{"127.0.0.1", "192.0.2.1"}, "192.0.2.1"},
		"two proxies":                 {"10.0.0.1:1", []string{"127.0.0.1, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		"all trusted":                 {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"nonsense of the client":      {"10.0.0.1:1", []string{"nonsense, 192.0.2.1"}, "192.0.2.1"},
		"nonsense of the proxy":       {"10.0.0.1:1", []string{"192.0.2.1, unknown"}, ""},
		"empty hop":                   {"10.0.0.1:1", []string{"192.0.2.1, "}, ""},
		"with a port":                 {"10.0.0.1:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		"IPv6 with a port":            {"10.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		"IPv6 in brackets":            {"10.0.0.1:1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		"forwarded as IPv4 in IPv6":   {"10.0.0.1:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"trusted one as IPv4 in IPv6": {"10.0.0.1:1", []string{"192.0.2.1, ::ffff:10.0.0.2"}, "192.0.2.1"},
	} {
		r := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-For": tc.forwarded}}
		got := clientAddress(r, trusted)
		if tc.want == "" {
			require.False(t, got.IsValid(), name)
			continue
		}
		require.Equal(t, tc.want, got.String(), name)
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("10.0.0.1:1", "127.0.0.1, 192.0.2.1", "192.0.2.7")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	// Whatever a client writes, the address that the proxy appends is what counts.
	f.Fuzz(func(t *testing.T, peer, written, appended string) {
		_ = clientAddress(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {written}}}, trusted)
		addr, err := netip.ParseAddr(appended)
		if err != nil || isTrusted(addr.Unmap().WithZone(""), trusted) {
			return
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {written + ", " + addr.WithZone("").String()}}}
		require.Equal(t, addr.Unmap().WithZone(""), clientAddress(r, trusted))
	})
}
