// Package event names the facts that tenants are told of: through the log of events,
// webhooks and metrics.
package event

import (
	"slices"
	"strings"
)

// Type is what happened.
type Type string

// Types are those that are in the log.
var Types = []Type{
	EmailAccepted, EmailScheduled, EmailSent, EmailDeferred, EmailBounced, EmailFailed, EmailCancelled, EmailExpired, EmailUnknown,
	EmailOpened, EmailClicked, QuotaWarning, QuotaReached, TenantSuspended, TenantResumed, WebhookDisabled,
	DomainVerified, DomainFailing, DomainLost,
}

// Matches reports whether a pattern stands for types in the log: it is one of them, a group such as email.*, or * for all.
func Matches(pattern string) bool {
	group, ok := strings.CutSuffix(pattern, "*")
	return pattern == "*" || slices.ContainsFunc(Types, func(t Type) bool {
		return string(t) == pattern || (ok && strings.HasSuffix(group, ".") && strings.HasPrefix(string(t), group))
	})
}

// What happens to a recipient. Those that tell of its status are "email." and the status.
const (
	EmailAccepted  Type = "email.accepted"  // it is in the database, whatever becomes of it
	EmailScheduled Type = "email.scheduled" // it waits for a time, or for another one
	EmailSent      Type = "email.sent"      // handed to a mail server
	EmailDeferred  Type = "email.deferred"  // refused for now, and tried again
	EmailBounced   Type = "email.bounced"   // refused for good
	EmailFailed    Type = "email.failed"    // given up
	EmailCancelled Type = "email.cancelled" // taken back before it was sent
	EmailExpired   Type = "email.expired"   // not sent in time
	EmailUnknown   Type = "email.unknown"   // an attempt was cut off before its outcome was known
	EmailOpened    Type = "email.opened"    // its picture was loaded
	EmailClicked   Type = "email.clicked"   // one of its links was followed
)

// What happens to a tenant's daily limit, each once for a day and a share.
const (
	QuotaWarning Type = "quota.warning" // 80 or 90 percent of it are used
	QuotaReached Type = "quota.reached" // nothing of it is left
)

// What happens to a tenant itself.
const (
	TenantSuspended Type = "tenant.suspended" // nothing more is accepted from it
	TenantResumed   Type = "tenant.resumed"   // it sends again
)

// What happens to a tenant's webhooks.
const (
	WebhookDisabled Type = "webhook.disabled" // it is not called any more: it is gone, or has failed for days
	WebhookTest     Type = "webhook.test"     // in no log: a call that was asked for
)

// What happens to a tenant's sender domains.
const (
	DomainVerified Type = "domain.verified" // its records were found: mail may be sent from it
	DomainFailing  Type = "domain.failing"  // they are missing: mail is sent as before, for some days
	DomainLost     Type = "domain.lost"     // they were missing for days: no mail is sent from it any more
)
