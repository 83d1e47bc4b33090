package quota_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/quota"
)

// ledger is what a calendar should hold: the recipients of each day, counted one by one.
type ledger struct {
	limit    *int
	loc      *time.Location
	reserved map[string]int
	touched  map[string]bool
	calendar *quota.Calendar
}

func drawLedger(t *rapid.T) *ledger {
	l := &ledger{loc: drawZone(t), reserved: map[string]int{}, touched: map[string]bool{}}
	if rapid.Bool().Draw(t, "limited") {
		limit := rapid.IntRange(0, 40).Draw(t, "limit")
		l.limit = &limit
	}
	l.calendar = quota.NewCalendar(l.limit, l.loc)
	return l
}

func (l *ledger) fits(day string, n int) bool { return l.limit == nil || l.reserved[day]+n <= *l.limit }

func (l *ledger) add(day string, n int) {
	l.reserved[day] += n
	l.touched[day] = true
}

func (l *ledger) reserve(t *rapid.T, now time.Time) {
	n := rapid.IntRange(1, 12).Draw(t, "n")
	day, ok := l.calendar.Reserve(n, now)
	if day != now.In(l.loc).Format(time.DateOnly) {
		t.Fatalf("reserved on %s at %v", day, now)
	}
	if ok != l.fits(day, n) {
		t.Fatalf("%d more on %d of %v: %v", n, l.reserved[day], l.limit, ok)
	}
	if ok {
		l.add(day, n)
	}
}

// postpone looks for the first day with room by itself, hour by hour.
func (l *ledger) postpone(t *rapid.T, now time.Time) {
	n := rapid.IntRange(1, 12).Draw(t, "n")
	day, opensAt, ok := l.calendar.Defer(n, now)
	if could := l.limit != nil && n <= *l.limit; ok != could {
		t.Fatalf("%d recipients with a limit of %v: %v", n, l.limit, ok)
	}
	if !ok {
		return
	}
	dateOf := func(at time.Time) string { return at.In(l.loc).Format(time.DateOnly) }
	if !opensAt.After(now) || dateOf(opensAt) != day || dateOf(opensAt.Add(-time.Nanosecond)) == day {
		t.Fatalf("%s does not begin at %v", day, opensAt)
	}
	for at := now; at.Before(opensAt); at = at.Add(time.Hour) {
		if earlier := dateOf(at); earlier != dateOf(now) && earlier != day && l.fits(earlier, n) {
			t.Fatalf("%s has room, but %s was taken", earlier, day)
		}
	}
	if !l.fits(day, n) {
		t.Fatalf("%s has no room", day)
	}
	l.add(day, n)
}

func (l *ledger) giveBack(t *rapid.T, day string) {
	n := rapid.IntRange(0, 20).Draw(t, "n")
	l.calendar.Return(day, n)
	if n = min(n, l.reserved[day]); n > 0 {
		l.add(day, -n)
	}
}

// Whatever is reserved, deferred and returned as days go by: no day has more than the
// limit, the sums are right, and what has to be written down is what has changed.
func TestCalendar_KeepsTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawLedger(t)
		now := drawInstant(t, l.loc)
		day, _ := quota.Day(now, l.loc)
		loaded := rapid.IntRange(0, 60).Draw(t, "loaded") // more than the limit, where that was lowered
		l.calendar.Load(day, loaded, 0)
		l.reserved[day] = loaded
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) { l.reserve(t, now) },
			"defer":   func(t *rapid.T) { l.postpone(t, now) },
			"return": func(t *rapid.T) {
				l.giveBack(t, now.Add(time.Duration(rapid.IntRange(-1, 3).Draw(t, "days"))*24*time.Hour).In(l.loc).Format(time.DateOnly))
			},
			"later": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
			},
			"": func(t *rapid.T) {
				today, resetsAt := quota.Day(now, l.loc)
				standing := l.calendar.Standing(now)
				if standing.Used != l.reserved[today] || !standing.ResetsAt.Equal(resetsAt) {
					t.Fatalf("%+v, where %d are reserved until %v", standing, l.reserved[today], resetsAt)
				}
				written := map[string]int{}
				for use := range l.calendar.Changed {
					written[use.Day] = use.Reserved
				}
				for day := range l.touched {
					if n, ok := written[day]; !ok || n != l.reserved[day] {
						t.Fatalf("%s has %d, and not %d", day, n, l.reserved[day])
					}
					if l.limit != nil && l.reserved[day] > max(*l.limit, loaded) {
						t.Fatalf("%s has %d of %d", day, l.reserved[day], *l.limit)
					}
				}
				if len(written) != len(l.touched) {
					t.Fatalf("%v have changed, and not %v", written, l.touched)
				}
			},
		})
	})
}
