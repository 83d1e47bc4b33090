package apiserver

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/metric"
)

// What is written by hand is what encoding/json and encoding/csv make of it.
func TestMetricsAnswer_LikeTheLibraries(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Kathmandu")
	require.NoError(t, err)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		dimension := rapid.SampledFrom([]metric.Dimension{metric.All, metric.Tag}).Draw(t, "dimension")
		interval := rapid.SampledFrom([]metric.Interval{metric.ByDay, metric.ByHour, metric.Whole}).Draw(t, "interval")
		q := metric.NewQuery(dimension, interval, from, from.Add(72*time.Hour), zone)
		sheet := metric.NewSheet(q)
		for range rapid.IntRange(0, 300).Draw(t, "rows") {
			key := ""
			if dimension == metric.Tag {
				key = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`a"b`, "<a&b>", "a,b", "=1", "\u2028", ""}),
					rapid.StringMatching("k[0-9]{2}")).Draw(t, "key")
			}
			var c metric.Counts
			for _, n := range c.All() {
				*n = rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, 9), rapid.Int64Range(0, 1e9)).Draw(t, "count")
			}
			sheet.Add(rapid.IntRange(0, len(q.Windows)-1).Draw(t, "window"), key, c)
		}
		answer := metricsAnswer{q, Metrics{From: q.Windows[0].Start, To: from, Timezone: "Asia/Kathmandu", Interval: string(interval)}, sheet.Table()}
		raw, err := answer.json()
		require.NoError(t, err)
		var read Metrics
		require.NoError(t, json.Unmarshal(raw, &read))
		again, err := json.Marshal(read)
		require.NoError(t, err)
		require.Equal(t, withoutExponents(string(again)), string(raw), "the same members in the same order")
		if dimension == metric.All {
			require.Len(t, read.Items, len(q.Windows))
		}
		lines, err := csv.NewReader(strings.NewReader(string(answer.csv()))).ReadAll()
		require.NoError(t, err)
		require.Len(t, lines, 1+len(read.Items))
		for i, item := range read.Items {
			require.Equal(t, csvOf(item), lines[1+i])
		}
	})
}

var exponent = regexp.MustCompile(`:[0-9.]+e-[0-9]+`)

// withoutExponents is for shares of less than a millionth, which encoding/json writes with one.
func withoutExponents(text string) string {
	return exponent.ReplaceAllStringFunc(text, func(member string) string {
		f, err := strconv.ParseFloat(member[1:], 64)
		if err != nil {
			return err.Error()
		}
		return ":" + strconv.FormatFloat(f, 'f', -1, 64)
	})
}

func csvOf(item MetricsRow) []string {
	line := []string{item.Start.Format(time.RFC3339), item.End.Format(time.RFC3339), "", strconv.FormatBool(item.Other)}
	if item.Group != nil {
		line[2] = strings.ReplaceAll(harmless(*item.Group), "\r\n", "\n") // as the reader does
	}
	for _, n := range item.Counts.All() {
		line = append(line, strconv.FormatInt(*n, 10))
	}
	for _, rate := range item.Rates.All() {
		if line = append(line, ""); rate != nil {
			line[len(line)-1] = strconv.FormatFloat(*rate, 'f', -1, 64)
		}
	}
	return line
}
