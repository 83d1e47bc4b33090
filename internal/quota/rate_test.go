package quota_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/quota"
)

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
	b.Adopt(slow, fast, epoch)
	require.Equal(t, 9, b.Grant(fast, epoch, 9, time.Second).Count)
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
