package quota

import "time"

// Day is the calendar day of now in zone loc: its date ("2026-11-24"), which names the
// window of a daily limit, and the instant at which it ends. Days with a change of clocks
// are 23 or 25 hours long.
func Day(now time.Time, loc *time.Location) (date string, resetsAt time.Time) {
	now = now.In(loc)
	return now.Format(time.DateOnly), endOfDay(now)
}

// endOfDay is the first instant after now with another date. Clocks may go forward over
// midnight, so that a day begins at 01:00, or over a whole day, which a zone did that moved
// to the other side of the date line; and they may go back over midnight to the same date.
// Within the bounds of one offset there is none of that.
func endOfDay(now time.Time) time.Time {
	date := now.Format(time.DateOnly)
	for {
		h, m, s := now.Clock()
		sinceMidnight := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute +
			time.Duration(s)*time.Second + time.Duration(now.Nanosecond())
		midnight := now.Add(24*time.Hour - sinceMidnight)
		_, change := now.ZoneBounds()
		if change.IsZero() || midnight.Before(change) {
			return midnight
		}
		if now = change; now.Format(time.DateOnly) != date {
			return now
		}
	}
}
