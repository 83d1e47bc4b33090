package apikey_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
)

func networks(t *testing.T, texts ...string) (n apikey.Networks) {
	t.Helper()
	for _, text := range texts {
		p, err := apikey.ParseNetwork(text)
		require.NoError(t, err, text)
		n = append(n, p)
	}
	return n
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0", "203.0.113.7/32": "203.0.113.7/32",
		"2001:DB8:0::/32": "2001:db8::/32", "::/0": "::/0", "::1/128": "::1/128",
	} {
		require.Equal(t, []string{want}, networks(t, text).Texts(), text)
	}
	for text, want := range map[string]string{
		"10.0.0.5":               "an address alone is no network: write 10.0.0.5/32",
		"2001:db8::1":            "an address alone is no network: write 2001:db8::1/128",
		"::ffff:10.0.0.5":        "an address alone is no network: write 10.0.0.5/32",
		"10.0.0.5/8":             "the address has bits behind the prefix: the network is 10.0.0.0/8",
		"2001:db8::1/32":         "the address has bits behind the prefix: the network is 2001:db8::/32",
		"::ffff:10.0.0.0/104":    "a network of IPv4 is written as one, such as 192.0.2.0/24",
		"":                       "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"10.0.0.0/33":            "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"10.0.0.0/08":            "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"10.0.0/8":               "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"fe80::1%eth0":           "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"fe80::%eth0/64":         "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"example.com/24":         "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
		"10.0.0.0/8,10.0.0.0/16": "not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32",
	} {
		_, err := apikey.ParseNetwork(text)
		f, ok := fault.As(err)
		require.True(t, ok, text)
		require.Equal(t, "invalid_cidr", f.Code)
		require.Equal(t, want, f.Detail, text)
	}
}

func TestNetworks_Allow(t *testing.T) {
	t.Parallel()
	n := networks(t, "10.0.0.0/8", "2001:db8::/32")
	for text, want := range map[string]bool{
		"10.1.2.3": true, "11.0.0.1": false, "::ffff:10.1.2.3": true, "::ffff:11.0.0.1": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "2001:db8::1%eth0": true, "::10.1.2.3": false,
	} {
		require.Equal(t, want, n.Allow(netip.MustParseAddr(text)), text)
		require.True(t, apikey.Networks(nil).Allow(netip.MustParseAddr(text)))
	}
	require.False(t, n.Allow(netip.Addr{}), "not known is not allowed")
	require.True(t, apikey.Networks(nil).Allow(netip.Addr{}))
	require.False(t, networks(t, "::/0").Allow(netip.MustParseAddr("10.0.0.1")), "IPv4 is not IPv6")
	require.False(t, apikey.Networks{}.Allow(netip.MustParseAddr("10.0.0.1")))
}

func TestNetworks_Cover(t *testing.T) {
	t.Parallel()
	own := networks(t, "10.0.0.0/8", "2001:db8::/32")
	require.True(t, apikey.Networks(nil).Cover(nil))
	require.True(t, apikey.Networks(nil).Cover(own))
	require.False(t, own.Cover(nil), "everywhere is more")
	for text, want := range map[string]bool{
		"10.0.0.0/8": true, "10.2.0.0/16": true, "10.2.3.4/32": true, "0.0.0.0/0": false, "8.0.0.0/5": false, "11.0.0.0/16": false,
		"2001:db8:1::/48": true, "2001::/16": false, "::/0": false,
	} {
		require.Equal(t, want, own.Cover(networks(t, "10.0.0.0/9", text)), text)
	}
}

// What is read is written as it is read: one form for each network.
func FuzzParseNetwork(f *testing.F) {
	f.Add("10.0.0.0/8")
	f.Add("2001:DB8::/32")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := apikey.ParseNetwork(text)
		if err != nil {
			return
		}
		again, err := apikey.ParseNetwork(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
		require.True(t, apikey.Networks{p}.Allow(p.Addr()))
		require.True(t, apikey.Networks{p}.Cover(apikey.Networks{again}))
	})
}
