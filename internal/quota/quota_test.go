package quota_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/quota"
)

func TestDay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		now, zone, date, resets string
	}{
		"utc":                    {"2026-11-24T10:00:00Z", "UTC", "2026-11-24", "2026-11-25T00:00:00Z"},
		"zone is ahead":          {"2026-11-24T23:30:00Z", "Asia/Tokyo", "2026-11-25", "2026-11-25T15:00:00Z"},
		"23 hours, spring":       {"2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-29", "2026-03-29T22:00:00Z"},
		"25 hours, autumn":       {"2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-25", "2026-10-25T23:00:00Z"},
		"no midnight on the 6th": {"2026-09-05T12:00:00Z", "America/Santiago", "2026-09-05", "2026-09-06T04:00:00Z"},
		"last moment":            {"2026-11-24T23:59:59.999Z", "UTC", "2026-11-24", "2026-11-25T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(tc.zone)
			require.NoError(t, err)
			now, err := time.Parse(time.RFC3339Nano, tc.now)
			require.NoError(t, err)
			date, resets := quota.Day(now, loc)
			require.Equal(t, tc.date, date)
			require.Equal(t, tc.resets, resets.UTC().Format(time.RFC3339))
		})
	}
}

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestBucket_GrantPaces(t *testing.T) {
	t.Parallel()
	rate := quota.Rate{Count: 60, Per: time.Minute, Burst: 1}
	var b quota.Bucket
	s := b.Grant(rate, epoch, 30, 3*time.Second)
	require.Equal(t, 3, s.Count)
	require.Equal(t, epoch, s.At(0))
	require.Equal(t, 1020*time.Millisecond, s.At(1).Sub(s.At(0)))
	require.Zero(t, b.Grant(rate, epoch, 30, 3*time.Second).Count)
	require.Equal(t, s.At(2).Add(s.Interval), b.Opens(rate))
}

func TestBucket_AdoptForgetsLongWaits(t *testing.T) {
	t.Parallel()
	slow, fast := quota.Rate{Count: 1, Per: time.Hour, Burst: 1}, quota.Rate{Count: 100, Per: time.Second, Burst: 1}
	var b quota.Bucket
	require.Equal(t, 1, b.Grant(slow, epoch, 9, time.Second).Count)
	require.Zero(t, b.Grant(slow, epoch, 9, time.Second).Count)
	b.Adopt(fast, epoch)
	require.Equal(t, 9, b.Grant(fast, epoch, 9, time.Second).Count)
}

// However late attempts are, no window has more of them than promised.
func TestRate_PromiseHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := quota.Rate{
			Count: rapid.IntRange(1, 5000).Draw(t, "count"),
			Per:   rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "per"),
			Burst: rapid.IntRange(1, 50).Draw(t, "burst"),
		}
		var b quota.Bucket
		var gate quota.Gate
		var attempts []time.Duration
		now := epoch
		var started []time.Time
		for range rapid.IntRange(1, 40).Draw(t, "grants") {
			now = now.Add(time.Duration(rapid.Float64Range(0, 6).Draw(t, "pause") * float64(rate.Interval())))
			s := b.Grant(rate, now, rapid.IntRange(1, 20).Draw(t, "want"), 10*rate.Interval())
			for i := range s.Count {
				late := rapid.Float64Range(0, 1).Draw(t, "late") * float64(s.Slack)
				started = append(started, s.At(i).Add(time.Duration(late)))
			}
		}
		slices.SortFunc(started, time.Time.Compare)
		for _, at := range started {
			attempts = append(attempts, gate.Admit(rate, at).Sub(epoch))
		}
		requirePromise(t, rate, attempts)
	})
}

func requirePromise(t *rapid.T, rate quota.Rate, attempts []time.Duration) {
	slices.Sort(attempts)
	even := float64(rate.Per) / float64(rate.Count)
	for i := range attempts {
		for j := i; j < len(attempts); j++ {
			window := float64(attempts[j] - attempts[i])
			if n := j - i + 1; float64(n) > window/even+float64(rate.Burst)+1e-6 {
				t.Fatalf("%d attempts in %v with %+v", n, time.Duration(window), rate)
			}
		}
	}
}

// A worker with enough to do uses at least 97 % of the rate.
func TestRate_IsUsed(t *testing.T) {
	t.Parallel()
	for _, rate := range []quota.Rate{
		{Count: 60, Per: time.Minute, Burst: 1}, {Count: 10, Per: time.Second, Burst: 10}, {Count: 1000, Per: time.Second, Burst: 2},
	} {
		var b quota.Bucket
		granted, end := 0, epoch.Add(1000*rate.Per)
		for now := epoch; now.Before(end); now = now.Add(500 * time.Millisecond) {
			granted += b.Grant(rate, now, 1<<30, time.Second).Count
		}
		require.GreaterOrEqual(t, float64(granted), 0.97*1000*float64(rate.Count))
	}
}

// Without the gate the slots alone keep the promise, wherever the burst covers the least
// slack: that is what several processes rely on, who know nothing of each other.
func TestRate_PromiseHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := quota.Rate{Count: rapid.IntRange(1, 5000).Draw(t, "count"), Per: time.Minute}
		rate.Burst = max(rate.DefaultBurst(), rapid.IntRange(2, 50).Draw(t, "burst"))
		var b quota.Bucket
		var attempts []time.Duration
		now := epoch
		for range rapid.IntRange(1, 40).Draw(t, "grants") {
			now = now.Add(time.Duration(rapid.Float64Range(0, 6).Draw(t, "pause") * float64(rate.Interval())))
			s := b.Grant(rate, now, rapid.IntRange(1, 20).Draw(t, "want"), 10*rate.Interval())
			for i := range s.Count {
				late := rapid.Float64Range(0, 1).Draw(t, "late") * float64(s.Slack)
				attempts = append(attempts, s.At(i).Sub(epoch)+time.Duration(late))
			}
		}
		if rate.Slack() > 20*time.Millisecond {
			requirePromise(t, rate, attempts)
		}
	})
}

// A wait that only the old rate asked for is forgotten when the rate changes.
func TestGate_AdoptsAChangedRate(t *testing.T) {
	t.Parallel()
	var g quota.Gate
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	slow, fast := quota.Rate{Count: 6, Per: time.Minute, Burst: 1}, quota.Rate{Count: 6000, Per: time.Minute, Burst: 1}
	require.Equal(t, now, g.Admit(slow, now))
	require.Equal(t, now.Add(10*time.Second), g.Admit(slow, now))
	require.Equal(t, now.Add(10*time.Millisecond), g.Admit(fast, now))
	require.Equal(t, now.Add(20*time.Millisecond), g.Admit(fast, now))
}
