package apikey

import "slices"

// Scope is something that a key may do.
type Scope string

// The scopes. A write does not imply the read.
const (
	EmailsSend     Scope = "emails:send" // also cancel, reschedule, retry, and all of bulk sends
	EmailsRead     Scope = "emails:read" // also bulk sends and usage
	TemplatesRead  Scope = "templates:read"
	TemplatesWrite Scope = "templates:write"
	EventsRead     Scope = "events:read"
	KeysRead       Scope = "keys:read"
	KeysWrite      Scope = "keys:write"
	MetricsRead    Scope = "metrics:read"
	TenantsRead    Scope = "tenants:read" // of operator keys, as the next
	TenantsWrite   Scope = "tenants:write"
	AuditRead      Scope = "audit:read"
	WebhooksRead   Scope = "webhooks:read"
	WebhooksWrite  Scope = "webhooks:write" // also test calls, replays and secrets
	DomainsRead    Scope = "domains:read"
	DomainsWrite   Scope = "domains:write" // also verification and keys
)

// Scopes are all that a key of a kind may have.
func Scopes(kind Kind) []Scope {
	all := []Scope{EmailsSend, EmailsRead, TemplatesRead, TemplatesWrite, EventsRead, KeysRead, KeysWrite}
	all = append(all, WebhooksRead, WebhooksWrite, MetricsRead, DomainsRead, DomainsWrite)
	if kind == Operator {
		all = append(all, TenantsRead, TenantsWrite, AuditRead)
	}
	return all
}

// Grant is what a key may do; nil: all that a key of its kind may, also what is added later.
type Grant []Scope

// Allows reports whether a key with the grant may do something.
func (g Grant) Allows(s Scope) bool { return g == nil || slices.Contains(g, s) }

// Of lists what a key of a kind may do with the grant.
func (g Grant) Of(kind Kind) []Scope {
	return slices.DeleteFunc(Scopes(kind), func(s Scope) bool { return !g.Allows(s) })
}

// Pass is the grant of a key that a key with g makes: what is wanted, or without that what g
// itself has. No key can make one that may do more; missing is what it would need.
func (g Grant) Pass(kind Kind, wanted Grant) (given Grant, missing Scope) {
	if wanted == nil {
		if g == nil {
			return nil, ""
		}
		return g.Of(kind), ""
	}
	given = wanted.Of(kind)
	return given, g.Missing(kind, given)
}

// Missing is the first thing that a key with other may do and one with g may not; empty: none.
func (g Grant) Missing(kind Kind, other Grant) Scope {
	for _, s := range other.Of(kind) {
		if !g.Allows(s) {
			return s
		}
	}
	return ""
}
