package apiserver_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const metricsPath = v1 + "/metrics"

func (b *bundle) metrics(key, query string) apiserver.Metrics {
	b.t.Helper()
	return must[apiserver.Metrics](b, http.StatusOK, http.MethodGet, metricsPath+query, key, nil)
}

func TestGetMetrics(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{Timezone: "Asia/Kolkata"})
	b.post(key, `{"to":["ada@example.com","bob@example.net"],"subject":"Hi","text":"Hi","tags":["invoice"]}`)
	b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`)

	day := b.metrics(key, "")
	require.Equal(t, [3]any{"Asia/Kolkata", "day", (*string)(nil)}, [3]any{day.Timezone, day.Interval, day.GroupBy})
	require.GreaterOrEqual(t, len(day.Items), 31, "days without events are there, too")
	last := day.Items[len(day.Items)-1]
	require.EqualValues(t, 3, last.Accepted, "before anything is rolled up")
	require.True(t, last.Group == nil && last.Delivery == nil && !last.Other)
	require.Equal(t, "18:30", last.Start.Format("15:04"), "midnight in Kolkata")
	require.Equal(t, day.To, last.End)
	require.Equal(t, day.From, day.Items[0].Start)

	hours := b.metrics(key, "?interval=hour")
	require.EqualValues(t, 3, hours.Items[len(hours.Items)-1].Accepted+hours.Items[len(hours.Items)-2].Accepted)
	require.Zero(t, hours.From.Minute())

	tags := b.metrics(key, "?interval=total&groupBy=tag")
	require.Len(t, tags.Items, 2)
	require.Equal(t, "invoice", *tags.Items[0].Group)
	require.EqualValues(t, 2, tags.Items[0].Accepted)
	require.Empty(t, *tags.Items[1].Group)
	require.Equal(t, "tag", *tags.GroupBy)
	domains := b.metrics(key, "?groupBy=domain")
	require.Equal(t, [2]string{"example.com", "example.net"}, [2]string{*domains.Items[0].Group, *domains.Items[1].Group})

	today := last.Start.In(time.FixedZone("", 330*60)).Format(time.DateOnly)
	dated := b.metrics(key, "?from="+today+"&to="+today)
	require.Equal(t, []apiserver.MetricsRow{last}, dated.Items, "a date is a day of the tenant, and to is in it")
	require.Equal(t, []apiserver.MetricsRow{last}, b.metrics(key, "?from="+last.Start.Format(time.RFC3339)+"&to="+last.End.Format(time.RFC3339)).Items)

	other := b.tenant("other", tenant.Settings{})
	require.Empty(t, b.metrics(other, "?groupBy=domain").Items)
}

func TestGetMetrics_CSV(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, tag := range []string{"=cmd|' /C calc'!A0", "+1", "-1", "@x", "plain, \\\"quoted\\\""} {
		b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi","tags":["`+tag+`"]}`)
	}
	answer := b.ask(http.MethodGet, metricsPath+"?interval=total&groupBy=tag&format=csv", key, nil)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, "text/csv; charset=utf-8", answer.Header.Get("Content-Type"))
	lines, err := csv.NewReader(strings.NewReader(answer.Body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 6)
	require.Equal(t, []string{"start", "end", "group", "other", "accepted", "sent"}, lines[0][:6])
	require.Equal(t, "unsubscribeRate", lines[0][len(lines[0])-1])
	require.Len(t, lines[0], 4+18+7)
	groups := map[string]bool{}
	for _, line := range lines[1:] {
		groups[line[2]] = true
		require.Equal(t, []string{"false", "1", "0"}, line[3:6])
		require.Empty(t, line[len(line)-1], "a rate of nothing")
	}
	require.Equal(t, map[string]bool{"'=cmd|' /C calc'!A0": true, "'+1": true, "'-1": true, "'@x": true, `plain, "quoted"`: true}, groups)

	asked := b.ask(http.MethodGet, metricsPath+"?interval=total", key, nil, "Accept", "text/csv")
	require.True(t, strings.HasPrefix(asked.Body, "start,end,"), asked.Body)
	asked = b.ask(http.MethodGet, metricsPath+"?interval=total&format=json", key, nil, "Accept", "text/csv")
	require.Equal(t, "application/json", asked.Header.Get("Content-Type"))
}

func TestGetMetrics_Limits(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for query, want := range map[string]string{
		"?from=yesterday":                                    "query.from invalid_value",
		"?to=2026-13-01":                                     "query.to invalid_value",
		"?from=1999-12-31":                                   "query.from invalid_value",
		"?from=9999-12-31T23:59:59Z":                         "query.from invalid_value",
		"?from=2026-11-02&to=2026-11-01T00:00:00Z":           "query.from out_of_range",
		"?from=2026-11-02T00:00:00Z&to=2026-11-02T00:00:00Z": "query.from out_of_range",
		"?from=2000-01-01&to=2030-01-01":                     "query.from out_of_range",
		"?from=2026-01-01&to=2027-02-05":                     "query.from out_of_range",
		"?from=2026-01-01&to=2026-02-01&interval=hour":       "query.from out_of_range",
		"?from=2026-01-01&to=2026-04-10&groupBy=tag":         "query.from out_of_range",
		"?interval=week":                                     "query.interval invalid_value",
		"?groupBy=recipient":                                 "query.groupBy invalid_value",
		"?format=xml":                                        "query.format invalid_value",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, metricsPath+query, key, nil).fields(422, "validation_failed"), query)
	}
	for query, items := range map[string]int{
		"?from=2026-01-01&to=2027-02-04": 400, "?from=2026-01-01&to=2026-01-31&interval=hour": 744, "?from=2026-01-01&to=2026-04-09&groupBy=tag": 0,
		"?from=2026-01-01&to=2027-02-04&interval=total": 1,
	} {
		require.Len(t, b.metrics(key, query).Items, items, query)
	}
}
