package testkit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// paced are attempts at so many milliseconds, with 10 a second and a burst of 3.
func paced(ms ...int) testkit.Pace {
	p := testkit.Pace{PerSecond: 10, Burst: 3}
	for _, at := range ms {
		p.At = append(p.At, instant(at))
	}
	return p
}

func instant(ms int) time.Time {
	return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func TestPace_Excess(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 0, paced(0, 0, 0, 100, 200).Excess(), 1e-9)
	require.InDelta(t, 1, paced(0, 0, 0, 0, 200).Excess(), 1e-9)
	require.InDelta(t, 0.5, paced(0, 0, 0, 50, 1000).Excess(), 1e-9)
	require.InDelta(t, -2, paced(0, 1000, 2000).Excess(), 1e-9)
	require.InDelta(t, 1, paced(0, 5000, 5000, 5000, 5000).Excess(), 1e-9, "a pause saves no more than the burst")
}

func TestPace_Busiest(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 4.0/13, paced(0, 400, 500, 600, 1300).Busiest(time.Second), 1e-9)
	require.InDelta(t, 5.0/23, paced(0, 400, 500, 600, 1300).Busiest(2*time.Second), 1e-9)
	require.InDelta(t, 2.0/13, paced(0, 1000).Busiest(time.Second), 1e-9, "both ends count")
}

func TestPace_Used(t *testing.T) {
	t.Parallel()
	p := paced(0, 0, 0, 100, 200, 300, 400, 500, 500)
	require.InDelta(t, 1, p.Used(instant(100), instant(500)), 1e-9)
	from, until := p.Steady()
	require.Equal(t, []time.Time{instant(0), instant(500)}, []time.Time{from, until})
	require.Len(t, p.After(instant(300)).At, 4)
}
