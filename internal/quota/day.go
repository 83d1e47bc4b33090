package quota

import "time"

// Day is the calendar day of now in zone loc: its date ("2026-11-24"), which names the
// window of a daily limit, and the instant at which the next one begins. Days with a
// change of clocks are 23 or 25 hours long.
func Day(now time.Time, loc *time.Location) (date string, resetsAt time.Time) {
	y, m, d := now.In(loc).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), startOfDay(y, m, d+1, loc)
}

// startOfDay is the first instant of a day. Where the clocks go forward at midnight
// there is no 00:00, and time.Date answers with an instant of the day before or a late one.
func startOfDay(y int, m time.Month, d int, loc *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, loc)
	noon := time.Date(y, m, d, 12, 0, 0, 0, loc)
	_, nm, nd := noon.Date()
	for { // at most a few steps: gaps are 30 or 60 minutes
		if _, tm, td := t.Date(); tm == nm && td == nd {
			return t
		}
		t = t.Add(15 * time.Minute)
	}
}
