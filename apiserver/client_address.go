package apiserver

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

type addressKey struct{}

// addressOf is the address from which a request comes; invalid when it is not known.
func addressOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// locate finds out from where a request comes, and says so in its span too, which otherwise has
// whatever X-Forwarded-For claims.
func (s *Server) locate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := clientAddress(r, s.TrustedProxies)
		trace.SpanFromContext(r.Context()).SetAttributes(attribute.String("client.address", addr.String()))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, addr)))
	})
}

// clientAddress is the peer's address, unless that is a trusted proxy: then it is what the
// proxy says of its own peer, and so on. Proxies append to X-Forwarded-For, so it is read from
// the right, and nothing to the left of the first address that is no trusted proxy's is
// believed: whoever sends the request can write that. Invalid when a proxy says nothing readable.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddress(r.RemoteAddr)
	if !isTrusted(addr, trusted) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" && len(hops) == 1 {
			return addr // the proxy itself asks
		}
		if addr = parseAddress(hop); !isTrusted(addr, trusted) {
			return addr
		}
	}
	return addr
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseAddress reads an address with or without a port, as proxies write it; IPv4 that is
// written as IPv6 is IPv4.
func parseAddress(text string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone("")
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
