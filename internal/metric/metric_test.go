package metric_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/metric"
)

func location(t require.TestingT, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

func instant(t require.TestingT, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestTally_CountsEachTypeOnce(t *testing.T) {
	t.Parallel()
	at := instant(t, "2026-11-24T23:20:00Z")
	for _, kind := range []event.Type{
		"email.accepted", "email.sent", "email.delivered", "email.deferred", "email.bounced", "email.failed", "email.complained", "email.unsubscribed",
		"email.suppressed", "email.expired", "email.cancelled", "email.unknown", metric.Opened, metric.Clicked,
	} {
		tally := metric.NewTally(location(t, "Asia/Kolkata"))
		tally.Add(metric.Fact{Type: kind, At: at, Template: "w", Tags: []string{"b", "a", "b"}, Address: "x@Y.Example"})
		require.Len(t, tally.Counts, 15, kind)
		for _, place := range []metric.Place{
			{metric.All, metric.Quarter, instant(t, "2026-11-24T23:15:00Z"), ""},
			{metric.All, metric.Hour, instant(t, "2026-11-24T23:00:00Z"), ""},
			{metric.All, metric.Day, instant(t, "2026-11-25T00:00:00Z"), ""},
			{metric.Template, metric.Quarter, instant(t, "2026-11-24T23:15:00Z"), "w"},
			{metric.Domain, metric.Day, instant(t, "2026-11-25T00:00:00Z"), "y.example"},
			{metric.Tag, metric.Day, instant(t, "2026-11-25T00:00:00Z"), "a"},
			{metric.Tag, metric.Day, instant(t, "2026-11-25T00:00:00Z"), "b"},
		} {
			require.EqualValues(t, 1, tally.Counts[place].Total(), "%s %v", kind, place)
		}
	}
	tally := metric.NewTally(time.UTC)
	for _, kind := range []event.Type{event.EmailScheduled, event.QuotaReached, ""} {
		tally.Add(metric.Fact{Type: kind, At: at})
	}
	require.Empty(t, tally.Counts)
	tally.Add(metric.Fact{Type: event.EmailSent, At: at})
	require.NotNil(t, tally.Counts[metric.Place{Dimension: metric.Tag, Grain: metric.Day, At: instant(t, "2026-11-24T00:00:00Z")}], "without a tag")
}

func TestTally_People(t *testing.T) {
	t.Parallel()
	tally := metric.NewTally(time.UTC)
	at := instant(t, "2026-11-24T00:00:00Z")
	for _, f := range []metric.Fact{
		{Type: metric.Opened, Automated: true},
		{Type: metric.Opened, First: true},
		{Type: metric.Opened},
		{Type: metric.Clicked, First: true},
		{Type: metric.Clicked, Automated: true, First: true},
	} {
		f.At = at
		tally.Add(f)
	}
	require.Equal(t, metric.Counts{Opened: 2, UniqueOpened: 1, AutomatedOpened: 1, Clicked: 1, UniqueClicked: 1, AutomatedClicked: 1},
		*tally.Counts[metric.Place{Dimension: metric.All, Grain: metric.Day, At: at}])
}

func TestRates(t *testing.T) {
	t.Parallel()
	shown := func(c metric.Counts) string {
		raw, err := json.Marshal(c.Rates())
		require.NoError(t, err)
		return string(raw)
	}
	require.JSONEq(t, `{"deliveryRate": null, "bounceRate": null, "complaintRate": null, "openRate": null, "clickRate": null,
		"clickToOpenRate": null, "unsubscribeRate": null}`, shown(metric.Counts{Accepted: 5}))
	require.JSONEq(t, `{"deliveryRate": 0.8, "bounceRate": 0.2, "complaintRate": 0.125, "openRate": 0.5, "clickRate": 0.25,
		"clickToOpenRate": 0.5, "unsubscribeRate": 0}`, shown(metric.Counts{
		Sent: 8, Delivered: 5, Bounced: 2, Failed: 0, Complained: 1, Opened: 9, UniqueOpened: 4, Clicked: 9, UniqueClicked: 2,
	}))
}

// Days have 23 or 25 hours when clocks change, and begin where their date does.
func TestDays_WithChangesOfClocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone, from, to string
		want           []string // beginning and length
	}{
		"UTC":         {"UTC", "2026-11-24T10:00:00Z", "2026-11-25T00:00:00Z", []string{"2026-11-24T00:00:00Z 24h0m0s"}},
		"spring":      {"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:30:00Z", []string{"2026-03-28T23:00:00Z 23h0m0s", "2026-03-29T22:00:00Z 24h0m0s"}},
		"autumn":      {"Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T12:00:01Z", []string{"2026-10-24T22:00:00Z 25h0m0s"}},
		"half hours":  {"Asia/Kolkata", "2026-11-24T18:29:59Z", "2026-11-24T18:30:01Z", []string{"2026-11-23T18:30:00Z 24h0m0s", "2026-11-24T18:30:00Z 24h0m0s"}},
		"no midnight": {"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T13:00:00Z", []string{"2018-11-04T03:00:00Z 23h0m0s"}},
	} {
		var got []string
		for _, day := range metric.Days(instant(t, c.from), instant(t, c.to), location(t, c.zone)) {
			got = append(got, fmt.Sprint(day.Start.Format(time.RFC3339), " ", day.End.Sub(day.Start)))
		}
		require.Equal(t, c.want, got, name)
	}
}

// Whatever the zone: each instant is in one window, and where a tally has it by day is in the
// window that has it by time.
func TestQuery_WindowsFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := location(t, rapid.SampledFrom([]string{
			"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Chatham",
		}).Draw(t, "zone"))
		from := time.Unix(rapid.Int64Range(1e9, 2e9).Draw(t, "from"), 0)
		to := from.Add(time.Duration(rapid.IntRange(1, 20*24*3600).Draw(t, "long")) * time.Second)
		at := from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from)-1)).Draw(t, "at")))
		for _, interval := range []metric.Interval{metric.ByHour, metric.ByDay, metric.Whole} {
			q := metric.NewQuery(metric.All, interval, from, to, zone)
			for i, w := range q.Windows {
				require.True(t, w.Start.Before(w.End))
				require.True(t, i == 0 || q.Windows[i-1].End.Equal(w.Start), "without gaps")
			}
			require.False(t, q.Windows[0].Start.After(from))
			require.False(t, q.Windows[len(q.Windows)-1].End.Before(to))
			tally := metric.NewTally(zone)
			tally.Add(metric.Fact{Type: event.EmailSent, At: at})
			sheet := metric.NewSheet(q)
			sheet.AddTally(tally)
			n := 0
			sheet.Table().Each(func(window, group int, c *metric.Counts) {
				n++
				require.Equal(t, [2]int64{1, 1}, [2]int64{c.Sent, c.Total()})
				require.Zero(t, group)
				w := q.Windows[window]
				require.True(t, !at.Before(w.Start) && at.Before(w.End), "%s in %s to %s", at, w.Start, w.End)
			})
			require.Equal(t, 1, n)
		}
	})
}

func TestRank(t *testing.T) {
	t.Parallel()
	totals := map[string]int64{}
	for i := range 150 {
		totals[fmt.Sprintf("k%03d", i)] = int64(i / 2)
	}
	keys := metric.Rank(totals)
	require.Len(t, keys, metric.MaxGroups)
	require.Equal(t, []string{"k148", "k149", "k146"}, keys[:3])
}

func cells(table *metric.Table) (out []string) {
	table.Each(func(window, group int, c *metric.Counts) {
		out = append(out, fmt.Sprint(window, table.Groups[group], *c))
	})
	return out
}

// It is the same whether the groups that are shown are chosen by the sheet or were before.
func TestSheet_Only(t *testing.T) {
	t.Parallel()
	at := instant(t, "2026-11-24T00:00:00Z")
	q := metric.NewQuery(metric.Template, metric.ByDay, at, at.Add(72*time.Hour), time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.IntRange(1, 130).Draw(t, "keys")
		tally, open, only, totals := metric.NewTally(time.UTC), metric.NewSheet(q), metric.NewSheet(q), map[string]int64{}
		type row struct {
			window int
			key    string
			metric.Counts
		}
		var rows []row
		for range rapid.IntRange(0, 400).Draw(t, "rows") {
			r := row{window: rapid.IntRange(0, 2).Draw(t, "window"), key: fmt.Sprint("k", rapid.IntRange(1, keys).Draw(t, "key"))}
			r.Sent, r.Opened = rapid.Int64Range(0, 5).Draw(t, "sent"), 1
			rows, totals[r.key] = append(rows, r), totals[r.key]+r.Total()
			tally.Add(metric.Fact{Type: event.EmailSent, At: at.Add(time.Duration(r.window) * 24 * time.Hour), Template: r.key})
			totals[r.key]++
		}
		shown := metric.Rank(totals)
		only.Only(shown)
		for _, r := range rows {
			open.Add(r.window, r.key, r.Counts)
			if slices.Contains(shown, r.key) {
				only.Add(r.window, r.key, r.Counts)
			} else {
				only.AddOthers(r.window, r.Counts)
			}
		}
		open.AddTally(tally)
		only.AddTally(tally)
		table := open.Table()
		require.Equal(t, cells(table), cells(only.Table()))
		require.Len(t, table.Groups, len(shown)+1)
		require.Equal(t, metric.Group{Other: true}, table.Groups[len(shown)])
		for i, key := range shown {
			require.Equal(t, metric.Group{Key: key}, table.Groups[i])
		}
		var sum, want metric.Counts
		for _, c := range table.Sums() {
			sum.Add(c)
		}
		for _, r := range rows {
			want.Add(r.Counts)
		}
		want.Sent += int64(len(rows))
		require.Equal(t, want, sum)
	})
}
