package apikey

import (
	"net/netip"
	"slices"

	"github.com/mailtura/mailtura/internal/fault"
)

// MaxNetworks is how many networks a key may name.
const MaxNetworks = 50

// Networks are where a key may be used from; nil: everywhere.
type Networks []netip.Prefix

// ParseNetwork reads a network in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3); fault invalid_cidr.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.Prefix{}, wrongNetwork("an address alone is no network: write %s", netip.PrefixFrom(addr, addr.BitLen()))
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, wrongNetwork("not a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32")
	}
	if p.Addr().Is4In6() {
		return p, wrongNetwork("a network of IPv4 is written as one, such as 192.0.2.0/24")
	}
	if p != p.Masked() {
		return p, wrongNetwork("the address has bits behind the prefix: the network is %s", p.Masked())
	}
	return p, nil
}

func wrongNetwork(format string, args ...any) error {
	return fault.New(fault.Invalid, "invalid_cidr", format, args...)
}

// Allow reports whether an address is in one of the networks. One that is not known is in none.
func (n Networks) Allow(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return n == nil || slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Cover reports whether every address of the other networks is allowed. Of each of them a
// single one of n has all addresses: neighbours are not put together.
func (n Networks) Cover(other Networks) bool {
	if n == nil {
		return true
	}
	return other != nil && !slices.ContainsFunc(other, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(n, func(own netip.Prefix) bool { return own.Bits() <= p.Bits() && own.Contains(p.Addr()) })
	})
}

// Texts are the networks in CIDR notation; nil: everywhere.
func (n Networks) Texts() []string {
	if n == nil {
		return nil
	}
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return texts
}
