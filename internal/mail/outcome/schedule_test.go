package outcome_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

var accepted = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// middle is the jitter that changes nothing.
const middle = 0.5

func TestNextTry_Schedule(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]time.Duration{
		1: time.Minute, 2: 5 * time.Minute, 3: 15 * time.Minute, 4: time.Hour, 5: 2 * time.Hour, 6: 4 * time.Hour,
		7: 8 * time.Hour, 8: 8 * time.Hour, 100: 8 * time.Hour,
	} {
		next, ok := outcome.NextTry(attempt, accepted, accepted, time.Time{}, middle)
		require.True(t, ok, attempt)
		require.WithinDuration(t, accepted.Add(want), next, time.Microsecond, attempt)
	}
}

func TestNextTry_JitterIsATenthEitherWay(t *testing.T) {
	t.Parallel()
	for attempt, pause := range map[int]time.Duration{1: time.Minute, 4: time.Hour, 9: 8 * time.Hour} {
		last := time.Time{}
		for _, jitter := range []float64{0, 0.1, 0.5, 0.9, 0.999999} {
			next, ok := outcome.NextTry(attempt, accepted, accepted, time.Time{}, jitter)
			require.True(t, ok)
			require.WithinRange(t, next, accepted.Add(pause*9/10), accepted.Add(pause*11/10))
			require.True(t, next.After(last), "more jitter, later")
			last = next
		}
	}
}

func TestNextTry_GivesUp(t *testing.T) {
	t.Parallel()
	const days = 72 * time.Hour
	for name, c := range map[string]struct {
		attempt int
		now     time.Duration // since it was accepted
		expires time.Duration // likewise; 0 = never
		want    bool
	}{
		"long before the end":                    {7, time.Hour, 0, true},
		"the last try is at 72 hours":            {7, days - 8*time.Hour, 0, true},
		"a try after 72 hours":                   {7, days - 8*time.Hour + time.Second, 0, false},
		"a short pause still fits":               {1, days - time.Minute, 0, true},
		"72 hours are over":                      {1, days, 0, false},
		"expires before the next try":            {4, 0, 59 * time.Minute, false},
		"expires at the next try":                {4, 0, time.Hour, true},
		"expires later":                          {4, 0, 2 * time.Hour, true},
		"expired already":                        {1, time.Hour, 30 * time.Minute, false},
		"an expiry after 72 hours gives no more": {1, days, 2 * days, false},
	} {
		expires := time.Time{}
		if c.expires != 0 {
			expires = accepted.Add(c.expires)
		}
		now := accepted.Add(c.now)
		next, ok := outcome.NextTry(c.attempt, accepted, now, expires, middle)
		require.Equal(t, c.want, ok, name)
		require.True(t, next.After(now), name)
	}
}

// A server that never takes a mail sees it some fifteen times, and the last time in the last pause.
func TestNextTry_WholeLife(t *testing.T) {
	t.Parallel()
	now, attempts := accepted, 1
	for {
		next, ok := outcome.NextTry(attempts, accepted, now, time.Time{}, middle)
		if !ok {
			break
		}
		require.True(t, next.After(now))
		now = next
		attempts++
		require.Less(t, attempts, 100)
	}
	require.Equal(t, 15, attempts)
	require.WithinRange(t, now, accepted.Add(64*time.Hour), accepted.Add(72*time.Hour))
}
