package apiserver

import (
	"time"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Why an email waits.
const (
	waitScheduled  = "scheduled"
	waitDailyLimit = "daily_limit"
	waitDispatch   = "dispatch"
	waitTurn       = "turn"
	waitMailServer = "mail_server"
	waitRetry      = "retry"
	waitHeld       = "held"
	waitSuspended  = "tenant_suspended"
)

// recipientEntries are a recipient's waits and attempts, and its end where no attempt was that.
func recipientEntries(of tenant.Tenant, story store.Story, r store.RecipientRecord) (entries []TimelineEntry) {
	add := func(all ...TimelineEntry) {
		for _, e := range all {
			e.At, e.Recipient = e.At.UTC(), r.Address.Addr
			entries = append(entries, e)
		}
	}
	w := firstWait(story)
	for _, a := range story.Attempts[r.ID] {
		add(w.until(a.StartedAt, story.Suspensions)...)
		add(TimelineEntry{At: a.StartedAt, Type: "attempt", Attempt: showAttempt(a)})
		w = waitAfter(a, story.ReleasedAt)
	}
	open := suspensionsOf(of, story)
	switch r.Status {
	case email.Scheduled:
		add(TimelineEntry{At: w.since, Type: "wait", Reason: waitScheduled, Until: utc(story.ReleaseAt)})
	case email.Held:
		add(TimelineEntry{At: w.since, Type: "wait", Reason: waitDailyLimit, Until: utc(story.ReleaseAt)})
	case email.Queued:
		if w.due.After(w.since) { // and is over, or it were not queued
			add(entry(w.since, &w.due, w.reason))
			w.since = w.due
		}
		w.then = waitOfQueued(story, r)
		w.reason = w.then
		add(w.goingOn(nil, open)...)
	case email.Deferred:
		w.reason = waitRetry
		add(w.goingOn(utc(r.NextAttemptAt), open)...)
	case email.Unknown:
		add(TimelineEntry{At: w.since, Type: "wait", Reason: waitHeld})
	case email.Cancelled, email.Expired:
		add(w.suspendedUntil(r.UpdatedAt, open)...)
		add(TimelineEntry{At: r.UpdatedAt, Type: string(r.Status)})
	case email.Sending, email.Sent, email.Bounced, email.Failed:
	}
	return entries
}

// waitOfQueued is why a recipient is not being sent to yet.
func waitOfQueued(story store.Story, r store.RecipientRecord) string {
	switch {
	case r.Reason == email.MailServerDown:
		return waitMailServer
	case len(story.Attempts[r.ID]) == 0 && story.DispatchID == nil:
		return waitDispatch
	}
	return waitTurn
}

// wait is one that began, for a reason that was over when it was due. From then on the email
// would have had its turn, were its tenant not suspended.
type wait struct {
	since, due time.Time
	reason     string
	then       string // what it waits for after a suspension
}

// firstWait is why an email was not sent when it was accepted.
func firstWait(story store.Story) wait {
	w := wait{story.CreatedAt, story.CreatedAt, waitTurn, waitTurn}
	switch {
	case story.Held:
		w.reason, w.due = waitDailyLimit, later(w.due, story.ReleasedAt)
	case story.ScheduledAt != nil:
		w.reason, w.due = waitScheduled, later(w.due, *story.ScheduledAt)
	}
	return w
}

// waitAfter is the wait for the attempt after one: until it is due, or somebody has asked for it.
func waitAfter(a store.AttemptRecord, released time.Time) wait {
	w := wait{a.StartedAt, a.StartedAt, waitRetry, waitTurn}
	if a.FinishedAt != nil {
		w.since, w.due = *a.FinishedAt, *a.FinishedAt
	}
	w.due = later(w.due, a.NextAt)
	if released.After(w.since) && (a.NextAt.IsZero() || released.Before(a.NextAt)) {
		w.due = released
	}
	return w
}

// suspensionsOf are the suspensions of a tenant, with the one that lasts, which has no end.
func suspensionsOf(of tenant.Tenant, story store.Story) []store.Period {
	if of.Status != tenant.Suspended {
		return story.Suspensions
	}
	return append(story.Suspensions[:len(story.Suspensions):len(story.Suspensions)], store.Period{From: of.Suspension.Since()})
}

// until are the entries of a wait that an attempt has ended. A suspension that the attempt was in
// was draining, and held nothing up.
func (w wait) until(end time.Time, suspensions []store.Period) (entries []TimelineEntry) {
	for _, s := range suspensions {
		if s.To.After(end) {
			break
		}
		entries = append(entries, w.suspended(s)...)
	}
	return append(entries, entry(w.since, &end, w.reason))
}

// goingOn are the entries of a wait that is not over, and is for an instant or, without one, for
// nothing that is known beforehand.
func (w wait) goingOn(due *time.Time, suspensions []store.Period) (entries []TimelineEntry) {
	if w.due = w.since; due != nil {
		w.due = later(w.since, *due)
	}
	for _, s := range suspensions {
		if s.To.IsZero() && w.due.After(time.Now()) {
			break // it may have ended by then
		}
		if more := w.suspended(s); more != nil {
			entries, due = append(entries, more...), nil
		}
	}
	if w.since.IsZero() {
		return entries
	}
	return append(entries, entry(w.since, due, w.reason))
}

// suspendedUntil are the entries that say what kept an email from being sent before its end.
func (w wait) suspendedUntil(end time.Time, suspensions []store.Period) (entries []TimelineEntry) {
	for _, s := range suspensions {
		if s.To.IsZero() || s.To.After(end) {
			s.To = end
		}
		for _, e := range w.suspended(s) {
			if e.Reason == waitSuspended {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

// suspended are the entries up to the end of a suspension, where that held the email up; what
// is left of the wait begins there. One without end is the rest.
func (w *wait) suspended(s store.Period) (entries []TimelineEntry) {
	from, ends := later(s.From, later(w.due, w.since)), !s.To.IsZero()
	if w.since.IsZero() || (ends && !from.Before(s.To)) {
		return nil
	}
	if w.since.Before(from) {
		entries = append(entries, entry(w.since, &from, w.reason))
	}
	w.since, w.due, w.reason = s.To, s.To, w.then
	if !ends {
		return append(entries, entry(from, nil, waitSuspended))
	}
	return append(entries, entry(from, &s.To, waitSuspended))
}

func entry(at time.Time, until *time.Time, reason string) TimelineEntry {
	return TimelineEntry{At: at, Type: "wait", Reason: reason, Until: utc(until)}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
