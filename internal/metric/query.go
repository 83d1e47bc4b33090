package metric

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mailtura/mailtura/internal/quota"
)

// Interval is how long the windows of an answer are.
type Interval string

// The intervals.
const (
	ByHour Interval = "hour"
	ByDay  Interval = "day"
	Whole  Interval = "total" // one window
)

// Window is one interval of an answer, from Start to before End. From and To are the same in
// the rows of the grain that it is read from.
type Window struct {
	Start, End time.Time
	From, To   time.Time
}

// Query is what is asked for.
type Query struct {
	Dimension Dimension
	Grain     Grain
	Windows   []Window // ascending, without gaps
	Zone      *time.Location
}

// NewQuery makes the windows: whole hours of UTC, or whole days of the zone, that together have
// the time from from to to.
func NewQuery(d Dimension, interval Interval, from, to time.Time, zone *time.Location) Query {
	q := Query{Dimension: d, Grain: Day, Zone: zone}
	if interval == ByHour {
		q.Grain = Hour
		for at := from.UTC().Truncate(time.Hour); at.Before(to); at = at.Add(time.Hour) {
			end := at.Add(time.Hour)
			q.Windows = append(q.Windows, Window{at, end, at, end})
		}
		return q
	}
	q.Windows = Days(from, to, zone)
	if interval == Whole && len(q.Windows) > 0 {
		first, last := q.Windows[0], q.Windows[len(q.Windows)-1]
		q.Windows = []Window{{first.Start, last.End, first.From, last.To}}
	}
	return q
}

// Days are the days of a zone that together have the time from from to to.
func Days(from, to time.Time, zone *time.Location) (days []Window) {
	at := from
	for before := from.Add(-72 * time.Hour); ; { // to where the day of from begins
		_, end := quota.Day(before, zone)
		if end.After(from) {
			break
		}
		at, before = end, end
	}
	for at.Before(to) {
		_, end := quota.Day(at, zone)
		date := DateOf(at, zone)
		days = append(days, Window{at.UTC(), end.UTC(), date, date.AddDate(0, 0, 1)})
		at = end
	}
	return days
}

// window is the number of the window that has a place of the query's grain, -1 for none.
func (q Query) window(p Place) int {
	if p.Grain != q.Grain || p.Dimension != q.Dimension {
		return -1
	}
	i, found := slices.BinarySearchFunc(q.Windows, p.At, func(w Window, at time.Time) int { return w.From.Compare(at) })
	if !found {
		i--
	}
	if i < 0 || !p.At.Before(q.Windows[i].To) {
		return -1
	}
	return i
}

// MaxGroups is how many groups are shown apart.
const MaxGroups = 100

// Rank chooses the groups that are shown: those with the most events.
func Rank(totals map[string]int64) []string {
	keys := slices.SortedFunc(maps.Keys(totals), func(a, b string) int {
		return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b))
	})
	return keys[:min(len(keys), MaxGroups)]
}

// Totals adds what a tally has of a query to the totals of its keys.
func (q Query) Totals(t *Tally, totals map[string]int64) {
	for p, c := range t.Counts {
		if q.window(p) >= 0 {
			totals[p.Key] += c.Total()
		}
	}
}
