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
	reserved map[string]int       // by date
	told     map[string]int       // by date: the share of the limit that the tenant was told of
	asked    map[string]time.Time // dates that were to be reserved on, with their ends
	changed  map[string]bool
}

// NewCalendar makes a calendar without reservations.
func NewCalendar(limit *int, loc *time.Location) *Calendar {
	return &Calendar{
		limit: limit, loc: loc, reserved: map[string]int{}, told: map[string]int{}, asked: map[string]time.Time{}, changed: map[string]bool{},
	}
}

// Load says what is reserved on a day ("2026-11-24"), and what share of the limit, in
// percent, the tenant was told of.
func (c *Calendar) Load(day string, reserved, told int) {
	c.reserved[day], c.told[day] = reserved, told
}

// Standing is where the tenant stands on the day of an instant.
func (c *Calendar) Standing(at time.Time) Standing {
	day, resetsAt := Day(at, c.loc)
	return Standing{Limit: c.limit, Used: c.reserved[day], ResetsAt: resetsAt}
}

// Reserve takes n recipients on the day of an instant; ok is false, and nothing is taken,
// when the limit does not allow that.
func (c *Calendar) Reserve(n int, at time.Time) (day string, ok bool) {
	day, resetsAt := Day(at, c.loc)
	c.asked[day] = resetsAt
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

// DayUse is what a tenant has reserved on a day, and the share of its limit, in percent,
// that it was told of.
type DayUse struct {
	Day      string
	Reserved int
	Told     int
}

// Changed are the days that Reserve, Defer, Return and Tell have changed; sorted, so that
// writers take them in the same order.
func (c *Calendar) Changed(yield func(DayUse) bool) {
	for _, day := range slices.Sorted(maps.Keys(c.changed)) {
		if !yield(DayUse{Day: day, Reserved: c.reserved[day], Told: c.told[day]}) {
			return
		}
	}
}

// Shares of a daily limit, in percent, that a tenant is told of.
var shares = [...]int{80, 90, Full}

// Full is the share at which nothing is left.
const Full = 100

// Crossing is a share of the limit that the use of a day has come to.
type Crossing struct {
	Day      string    `json:"day"`
	Percent  int       `json:"percent"`
	Limit    int       `json:"limit"`
	Used     int       `json:"used"`
	ResetsAt time.Time `json:"resetsAt"`
}

// Tell gives the shares that the days which were to be reserved on have come to: each once
// a day, whatever is given back or changed meanwhile.
func (c *Calendar) Tell() (crossed []Crossing) {
	if c.limit == nil {
		return nil
	}
	for _, day := range slices.Sorted(maps.Keys(c.asked)) {
		for _, share := range shares {
			if c.told[day] >= share || c.reserved[day]*Full < share**c.limit || (*c.limit == 0 && share < Full) {
				continue
			}
			c.told[day], c.changed[day] = share, true
			crossed = append(crossed, Crossing{
				Day: day, Percent: share, Limit: *c.limit, Used: c.reserved[day], ResetsAt: c.asked[day].UTC(),
			})
		}
	}
	return crossed
}
