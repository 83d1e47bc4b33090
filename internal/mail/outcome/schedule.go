package outcome

import "time"

// retryAfter are the pauses after the first attempts; later ones are lastPause apart.
var retryAfter = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

const (
	lastPause = 8 * time.Hour
	// GiveUpAfter is how long a mail is tried: RFC 5321 §4.5.4.1 asks for days.
	GiveUpAfter = 72 * time.Hour
	// spread is how far a pause may differ from the schedule, either way.
	spread = 0.10
)

// NextTry says when to try again after an attempt (1 = the first) that was deferred; ok is
// false when the mail is given up: 72 hours after it was accepted, or when it expires (the
// zero time: never). jitter, in [0,1), spreads retries by ±10 %.
func NextTry(attempt int, accepted, now, expires time.Time, jitter float64) (next time.Time, ok bool) {
	pause := lastPause
	if attempt >= 1 && attempt <= len(retryAfter) {
		pause = retryAfter[attempt-1]
	}
	next = now.Add(time.Duration(float64(pause) * (1 - spread + 2*spread*jitter)))
	end := accepted.Add(GiveUpAfter)
	if !expires.IsZero() && expires.Before(end) {
		end = expires
	}
	return next, !next.After(end)
}
