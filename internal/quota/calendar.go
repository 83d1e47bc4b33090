package quota

import (
	"maps"
	"slices"
	"time"
)

// farthest is how many days ahead recipients may have to wait for a day with room.
const farthest = 366

// Calendar holds how many recipients a tenant has reserved on its days, today and later,
// against its daily limit.
type Calendar struct {
	limit    *int // nil: none
	loc      *time.Location
	reserved map[string]int // by date
	changed  map[string]bool
}

// NewCalendar makes a calendar without reservations.
func NewCalendar(limit *int, loc *time.Location) *Calendar {
	return &Calendar{limit: limit, loc: loc, reserved: map[string]int{}, changed: map[string]bool{}}
}

// Load says what is reserved on a day ("2026-11-24").
func (c *Calendar) Load(day string, reserved int) { c.reserved[day] = reserved }

// Standing is where the tenant stands on the day of an instant.
func (c *Calendar) Standing(at time.Time) Standing {
	day, resetsAt := Day(at, c.loc)
	return Standing{Limit: c.limit, Used: c.reserved[day], ResetsAt: resetsAt}
}

// Reserve takes n recipients on the day of an instant; ok is false, and nothing is taken,
// when the limit does not allow that.
func (c *Calendar) Reserve(n int, at time.Time) (day string, ok bool) {
	day, _ = Day(at, c.loc)
	if c.limit != nil && c.reserved[day]+n > *c.limit {
		return day, false
	}
	c.add(day, n)
	return day, true
}

// Defer takes n recipients on the first day after that of an instant on which the limit
// allows it, and says when that day begins. ok is false when no day ever does.
func (c *Calendar) Defer(n int, at time.Time) (day string, opensAt time.Time, ok bool) {
	if c.limit == nil || n > *c.limit {
		return "", time.Time{}, false
	}
	for range farthest {
		_, opensAt = Day(at, c.loc)
		if day, ok = c.Reserve(n, opensAt); ok {
			return day, opensAt, true
		}
		at = opensAt
	}
	return "", time.Time{}, false
}

// Return gives back n recipients of a day, as far as so many are reserved on it.
func (c *Calendar) Return(day string, n int) {
	if n = min(n, c.reserved[day]); n > 0 {
		c.add(day, -n)
	}
}

func (c *Calendar) add(day string, n int) {
	c.reserved[day] += n
	c.changed[day] = true
}

// Changed are the days that Reserve, Defer and Return have changed, with what is reserved
// on them now; sorted, so that writers take them in the same order.
func (c *Calendar) Changed(yield func(day string, reserved int) bool) {
	for _, day := range slices.Sorted(maps.Keys(c.changed)) {
		if !yield(day, c.reserved[day]) {
			return
		}
	}
}
