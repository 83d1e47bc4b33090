package quota_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/quota"
)

func newCalendar(t *testing.T, limit int) (*quota.Calendar, time.Time) {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return quota.NewCalendar(&limit, berlin), time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC) // the eve of a day of 25 hours
}

func TestCalendar_ReservesUpToTheLimit(t *testing.T) {
	t.Parallel()
	c, now := newCalendar(t, 5)
	c.Load("2026-10-24", 3, 0)
	_, ok := c.Reserve(3, now)
	require.False(t, ok)
	day, ok := c.Reserve(2, now)
	require.True(t, ok)
	require.Equal(t, "2026-10-24", day)
	require.Equal(t, 5, c.Standing(now).Used)
	require.Equal(t, []quota.DayUse{{Day: "2026-10-24", Reserved: 5}}, slices.Collect(c.Changed))
}

func TestCalendar_DefersInOrder(t *testing.T) {
	t.Parallel()
	c, now := newCalendar(t, 5)
	for _, want := range []struct {
		n       int
		day     string
		opensAt string
	}{
		{4, "2026-10-25", "2026-10-24T22:00:00Z"},
		{4, "2026-10-26", "2026-10-25T23:00:00Z"}, // 25 hours later
		{1, "2026-10-25", "2026-10-24T22:00:00Z"},
		{5, "2026-10-27", "2026-10-26T23:00:00Z"},
	} {
		day, opensAt, ok := c.Defer(want.n, now)
		require.True(t, ok)
		require.Equal(t, want.day, day)
		require.Equal(t, want.opensAt, opensAt.UTC().Format(time.RFC3339))
	}
	_, _, ok := c.Defer(6, now)
	require.False(t, ok, "no day ever has room for six")
}

func TestCalendar_Returns(t *testing.T) {
	t.Parallel()
	c, now := newCalendar(t, 5)
	day, _ := c.Reserve(4, now)
	c.Return(day, 3)
	require.Equal(t, 1, c.Standing(now).Used)
	c.Return(day, 9)
	require.Zero(t, c.Standing(now).Used, "never below nothing")
}

// Of a day that is over, or that has nothing, there is nothing to write.
func TestCalendar_ReturnsNothingOfAnEmptyDay(t *testing.T) {
	t.Parallel()
	c, _ := newCalendar(t, 5)
	c.Return("2026-10-01", 3)
	require.Empty(t, slices.Collect(c.Changed))
}

func TestCalendar_WithoutLimit(t *testing.T) {
	t.Parallel()
	c := quota.NewCalendar(nil, time.UTC)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	_, ok := c.Reserve(1_000_000, now)
	require.True(t, ok)
	_, _, ok = c.Defer(1, now)
	require.False(t, ok, "there is nothing to wait for")
	require.Nil(t, c.Standing(now).Remaining())
}

// Each share is told of once a day, whatever happens to the use and the limit meanwhile.
func TestCalendar_TellsOfEachShareOnce(t *testing.T) {
	t.Parallel()
	c, now := newCalendar(t, 10)
	tell := func() (percents []int) {
		for _, crossing := range c.Tell() {
			require.Equal(t, 10, crossing.Limit)
			percents = append(percents, crossing.Percent)
		}
		return percents
	}
	for _, step := range []struct {
		reserve int
		want    []int
	}{{7, nil}, {1, []int{80}}, {2, []int{90, 100}}, {1, nil}} {
		c.Reserve(step.reserve, now)
		require.Equal(t, step.want, tell())
	}
	c.Return("2026-10-24", 5)
	c.Reserve(5, now)
	require.Empty(t, tell())
	c.Defer(10, now) // on the next day
	require.Equal(t, []int{80, 90, 100}, tell())

	again, _ := newCalendar(t, 10)
	again.Load("2026-10-24", 8, 80)
	again.Reserve(1, now)
	crossings := again.Tell()
	require.Len(t, crossings, 1)
	require.Equal(t, 9, crossings[0].Used)
	require.Equal(t, "2026-10-24", crossings[0].Day)
	require.Equal(t, time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), crossings[0].ResetsAt)
	require.Equal(t, []quota.DayUse{{Day: "2026-10-24", Reserved: 9, Told: 90}}, slices.Collect(again.Changed))
}

// A limit of nothing is reached by whoever asks.
func TestCalendar_TellsOfALimitOfNothing(t *testing.T) {
	t.Parallel()
	c, now := newCalendar(t, 0)
	require.Empty(t, c.Tell())
	_, ok := c.Reserve(1, now)
	require.False(t, ok)
	crossings := c.Tell()
	require.Len(t, crossings, 1)
	require.Equal(t, quota.Full, crossings[0].Percent)
}
