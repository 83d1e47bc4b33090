package webhookhttp

import (
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"
)

// What a connection is dialled to is checked, whatever its name was.
func TestGuard(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"93.184.216.34:443":          nil,
		"93.184.216.34:8443":         nil,
		"[2606:4700:4700::1111]:443": nil,
		"93.184.216.34:22":           ssrf.ErrProhibitedPort,
		"93.184.216.34:80":           ssrf.ErrProhibitedPort,
		"127.0.0.1:443":              ssrf.ErrProhibitedIP,
		"127.255.255.254:443":        ssrf.ErrProhibitedIP,
		"0.0.0.0:443":                ssrf.ErrProhibitedIP,
		"10.1.2.3:443":               ssrf.ErrProhibitedIP,
		"172.16.0.1:443":             ssrf.ErrProhibitedIP,
		"172.31.255.255:443":         ssrf.ErrProhibitedIP,
		"192.168.1.1:443":            ssrf.ErrProhibitedIP,
		"100.64.0.1:443":             ssrf.ErrProhibitedIP, // carrier-grade NAT
		"169.254.169.254:443":        ssrf.ErrProhibitedIP, // metadata of clouds
		"192.0.2.1:443":              ssrf.ErrProhibitedIP,
		"198.18.0.1:443":             ssrf.ErrProhibitedIP,
		"255.255.255.255:443":        ssrf.ErrProhibitedIP,
		"224.0.0.1:443":              ssrf.ErrProhibitedIP,
		"[::1]:443":                  ssrf.ErrProhibitedIP,
		"[::]:443":                   ssrf.ErrProhibitedIP,
		"[fe80::1]:443":              ssrf.ErrProhibitedIP,
		"[fe80::1%eth0]:443":         ssrf.ErrProhibitedIP,
		"[fd00:ec2::254]:443":        ssrf.ErrProhibitedIP, // metadata of clouds
		"[ff02::1]:443":              ssrf.ErrProhibitedIP,
		"[::ffff:127.0.0.1]:443":     ssrf.ErrProhibitedIP, // IPv4-mapped
		"[::ffff:93.184.216.34]:443": ssrf.ErrProhibitedIP,
		"[64:ff9b::7f00:1]:443":      ssrf.ErrProhibitedIP, // NAT64
		"[64:ff9b::a9fe:a9fe]:443":   ssrf.ErrProhibitedIP,
		"[2002:7f00:1::]:443":        ssrf.ErrProhibitedIP, // 6to4
		"[2001:0:7f00:1::1]:443":     ssrf.ErrProhibitedIP, // Teredo
		"[2001:db8::1]:443":          ssrf.ErrProhibitedIP,
		"not an address":             ssrf.ErrInvalidHostPort,
		"acme.com:443":               ssrf.ErrInvalidHostPort,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		require.ErrorIs(t, guard(false)(network, address, nil), want, address)
	}
	require.ErrorIs(t, guard(false)("udp4", "93.184.216.34:443", nil), ssrf.ErrProhibitedNetwork)
	require.ErrorIs(t, guard(false)("unix", "/run/docker.sock", nil), ssrf.ErrProhibitedNetwork)
}

// Where loopback is allowed, nothing else is.
func TestGuard_Loopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"127.0.0.1:9000": nil, "[::1]:9000": nil, "93.184.216.34:9000": nil,
		"10.1.2.3:443": ssrf.ErrProhibitedIP, "169.254.169.254:80": ssrf.ErrProhibitedIP, "[fe80::1]:443": ssrf.ErrProhibitedIP,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		require.ErrorIs(t, guard(true)(network, address, nil), want, address)
	}
}
