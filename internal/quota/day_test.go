package quota_test

import (
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
		"25 hours, by midnight":  {"2018-02-17T12:00:00Z", "America/Sao_Paulo", "2018-02-17", "2018-02-18T03:00:00Z"},
		"23:30 comes twice":      {"2018-02-18T02:30:00Z", "America/Sao_Paulo", "2018-02-17", "2018-02-18T03:00:00Z"},
		"00:30 comes twice":      {"2026-10-31T12:00:00Z", "America/Havana", "2026-10-31", "2026-11-01T04:00:00Z"},
		"midnight comes twice":   {"1987-10-25T02:31:00Z", "America/St_Johns", "1987-10-24", "1987-10-25T03:30:00Z"},
		"24 hours are left out":  {"2011-12-30T08:00:00Z", "Pacific/Apia", "2011-12-29", "2011-12-30T10:00:00Z"},
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

// zones are some whose clocks do what few others do: no midnight in spring, one twice in
// autumn, a change by half an hour, a day left out, one minute past midnight, four changes a year.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Santiago", "America/Havana", "America/Asuncion",
	"America/St_Johns", "America/Nuuk", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Asia/Tehran", "Asia/Amman",
	"Asia/Kathmandu", "Australia/Lord_Howe", "Atlantic/Azores", "Pacific/Apia", "Pacific/Kwajalein", "Antarctica/Troll",
}

func drawZone(t *rapid.T) *time.Location {
	loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// drawInstant is any of this time, and often one about when the zone changes its clocks.
func drawInstant(t *rapid.T, loc *time.Location) time.Time {
	at := time.Unix(rapid.Int64Range(0, 2_100_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(loc)
	if _, change := at.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "about a change") {
		return change.Add(time.Duration(rapid.Int64Range(-int64(30*time.Hour), int64(30*time.Hour)).Draw(t, "off")))
	}
	return at
}

// The day ends at the first instant with another date, whatever the clocks do before it.
func TestDay_EndsWithItsDate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		loc := drawZone(t)
		now := drawInstant(t, loc)
		date, resetsAt := quota.Day(now, loc)
		dateOf := func(at time.Time) string { return at.In(loc).Format(time.DateOnly) }
		if date != dateOf(now) {
			t.Fatalf("%v is not on %s", now, date)
		}
		if !resetsAt.After(now) || resetsAt.Sub(now) > 26*time.Hour {
			t.Fatalf("%v is no end of the day of %v", resetsAt, now)
		}
		if dateOf(resetsAt) == date {
			t.Fatalf("%v is still on %s", resetsAt, date)
		}
		for at := now; at.Before(resetsAt); at = at.Add(5 * time.Minute) {
			if dateOf(at) != date {
				t.Fatalf("%v is after the day of %v, which goes on until %v", at, now, resetsAt)
			}
		}
		if last := resetsAt.Add(-time.Nanosecond); dateOf(last) != date {
			t.Fatalf("the day of %v was over before %v", now, resetsAt)
		}
	})
}
