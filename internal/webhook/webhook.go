// Package webhook is what webhooks are made of: their URLs, secrets and signatures
// (Standard Webhooks, https://www.standardwebhooks.com), and when a call that failed is
// made again.
package webhook

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// MaxURL is how long a URL may be.
const MaxURL = 2000

// Loopback says whether endpoints on this machine may be called, in the clear too.
type Loopback bool

// CheckURL says what is wrong with the URL of a webhook; empty: nothing. Whether its host
// may be called is decided when it is, by the address that its name has then.
func CheckURL(text string, loopback Loopback) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > MaxURL || strings.ContainsFunc(text, unprintable):
		return "is not a URL"
	case !mayCall(u, loopback):
		return "begins with https://"
	case u.Opaque != "" || u.Hostname() == "":
		return "has no host"
	case u.User != nil:
		return "has a user or a password, which do not belong into a URL"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return "has a fragment, which is never sent"
	case !bool(loopback) && !slices.Contains([]string{"", "443", "8443"}, u.Port()):
		return "has a port other than 443 and 8443"
	}
	return ""
}

// mayCall reports whether a URL is one of a connection that nobody can listen to.
func mayCall(u *url.URL, loopback Loopback) bool {
	inside := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	return u.Scheme == "https" || (u.Scheme == "http" && bool(loopback) && inside)
}

func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

// again is how long after a failed call the next one is made: at most nine calls in three days.
var again = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour,
}

// Attempts is how many calls are made for an event.
var Attempts = len(again) + 1

// Again is how long to wait after an event's failed call of a number, from 1; false: it was
// the last. jitter in [0,1) spreads what failed together over another tenth of the time.
func Again(attempt int, jitter float64) (time.Duration, bool) {
	if attempt < 1 || attempt > len(again) {
		return 0, false
	}
	wait := again[attempt-1]
	return wait + time.Duration(jitter*float64(wait)/10), true
}

const (
	// patience is how many calls in a row may fail before an endpoint is given a rest.
	patience    = 5
	longestRest = time.Minute
	// GivenUp is how long every call fails before a webhook is disabled.
	GivenUp = 5 * 24 * time.Hour
)

// Rest is how long an endpoint is left alone after so many failed calls in a row: not at
// all at first, then for seconds, and a minute at the most. One that is down is not called
// for each event that there is, and is found soon when it is up again.
func Rest(failures int) time.Duration {
	if failures < patience {
		return 0
	}
	return min(time.Second<<min(failures-patience, 10), longestRest)
}
