package apiserver

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/metric"
)

// MetricsRow is what happened in one interval, all together or in one group.
type MetricsRow struct {
	Start time.Time `json:"start" doc:"Beginning of the interval"`
	End   time.Time `json:"end" doc:"Its end, which is not in it any more"`
	Group *string   `json:"group" doc:"Name of the template, the tag or domain; empty: emails or recipients without one. null without groupBy, and for other" example:"welcome"`
	Other bool      `json:"other" doc:"All groups together that are not among the 100 with the most events"`
	metric.Counts
	metric.Rates
}

// Metrics is what happened to a tenant's emails in a time.
type Metrics struct {
	From     time.Time    `json:"from" doc:"Beginning of the first interval"`
	To       time.Time    `json:"to" doc:"End of the last interval"`
	Timezone string       `json:"timezone" doc:"In which days are; hours are those of UTC" example:"Europe/Berlin"`
	Interval string       `json:"interval" enum:"hour,day,total"`
	GroupBy  *string      `json:"groupBy" doc:"template, tag or domain; null: nothing"`
	Items    []MetricsRow `json:"items" doc:"By interval, then by group, those with the most events in the whole time first. Without groupBy there is an item for each interval, with it for each in which the group has events"`
}

// MetricsInput says what is to be counted.
type MetricsInput struct {
	TenantHeader
	From     string `query:"from" maxLength:"40" doc:"A time (RFC 3339), or a date in the tenant's time zone; the interval that has it is the first. Default: 30 days before to, with interval=hour one day" example:"2026-11-01"`
	To       string `query:"to" maxLength:"40" doc:"A time (RFC 3339), or a date, which is in it; the interval before it is the last. Default: now" example:"2026-11-30"`
	Interval string `query:"interval" enum:"hour,day,total" default:"day" doc:"hour: hours of UTC, at most 31 days; day: days of the tenant's time zone, at most 400; total: such days together. With groupBy at most 99 hours or days"`
	GroupBy  string `query:"groupBy" enum:"template,tag,domain" doc:"Count each template, tag or domain of the recipient apart: the 100 with the most events, and all others together. An email with several tags is in the count of each"`
	Format   string `query:"format" enum:"json,csv" doc:"csv answers with text/csv, as Accept: text/csv does"`
	Accept   string `header:"Accept" maxLength:"1000" hidden:"true"`
}

// metricsOutput is the answer in one of two forms.
type metricsOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (s *Server) registerMetrics() {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Metrics](), true, "Metrics")
	register(s, forTenants(apikey.MetricsRead), huma.Operation{
		OperationID: "get-metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"Metrics"}, Summary: "Count what happened",
		Description: "Counts the tenant's events by the time at which they happened. Each count is exact: it is that of the events which are " +
			"committed when the request is answered. Rates are shares of 0 to 1, and null where there is nothing to have a share of.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema},
			"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString, Description: "The items, a line each, under a line with their names"}},
		}}},
	}, s.getMetrics)
}

func (s *Server) getMetrics(ctx context.Context, in *MetricsInput) (*metricsOutput, error) {
	t := caller(ctx)
	q, err := in.query(t.Settings.Location(), time.Now())
	if err != nil {
		return nil, err
	}
	table, err := s.Store.Metrics(ctx, t.ID, q)
	if err != nil {
		return nil, err
	}
	answer := metricsAnswer{q, Metrics{
		From: q.Windows[0].Start, To: q.Windows[len(q.Windows)-1].End, Timezone: q.Zone.String(), Interval: in.Interval,
	}, table}
	if in.GroupBy != "" {
		answer.head.GroupBy = &in.GroupBy
	}
	if in.Format == "csv" || in.Format == "" && strings.HasPrefix(strings.TrimSpace(in.Accept), "text/csv") {
		return &metricsOutput{"text/csv; charset=utf-8", `attachment; filename="metrics.csv"`, answer.csv()}, nil
	}
	raw, err := answer.json()
	return &metricsOutput{ContentType: "application/json", Body: raw}, err
}

const (
	maxHours   = 31 * 24
	maxDays    = 400
	maxGrouped = 99 // with MaxGroups+1 groups, 10,000 items
)

// query makes of the request what the store is asked for.
func (in *MetricsInput) query(zone *time.Location, now time.Time) (q metric.Query, err error) {
	to, from := now, time.Time{}
	if in.To != "" {
		if to, err = instant("query.to", in.To, zone, 1); err != nil {
			return q, err
		}
	}
	switch {
	case in.From != "":
		if from, err = instant("query.from", in.From, zone, 0); err != nil {
			return q, err
		}
	case in.Interval == string(metric.ByHour):
		from = to.Add(-24 * time.Hour)
	default:
		from = to.AddDate(0, 0, -30)
	}
	if !from.Before(to) {
		return q, outOfRange("query.from", "must be before to")
	}
	// Counted before they are made: a request can not have a million of them.
	most, unit, name := maxDays, 24*time.Hour, "days"
	if in.Interval == string(metric.ByHour) {
		most, unit, name = maxHours, time.Hour, "hours"
	}
	if in.GroupBy != "" && in.Interval != string(metric.Whole) {
		most = maxGrouped
	}
	if to.Sub(from) > time.Duration(most+1)*unit {
		return q, tooLong(most, name)
	}
	dimension := metric.All
	if in.GroupBy != "" {
		dimension = metric.Dimension(in.GroupBy)
	}
	q = metric.NewQuery(dimension, metric.Interval(in.Interval), from, to, zone)
	if len(q.Windows) > most {
		return q, tooLong(most, name)
	}
	return q, nil
}

func tooLong(most int, name string) error {
	return outOfRange("query.from", "from here to the end are more than "+strconv.Itoa(most)+" "+name+", the most that is answered at once")
}

func outOfRange(location, message string) error {
	return fault.InvalidFields(fault.Field{Location: location, Code: "out_of_range", Message: message})
}

// instant reads a time, or the beginning of a date in a zone some days later.
func instant(location, text string, zone *time.Location, later int) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		var date time.Time
		if date, err = time.Parse(time.DateOnly, text); err == nil {
			noon := time.Date(date.Year(), date.Month(), date.Day()+later, 12, 0, 0, 0, zone)
			at = metric.Days(noon, noon.Add(1), zone)[0].Start
		}
	}
	if err != nil || at.Year() < 2000 || at.Year() > 9000 {
		return at, fault.InvalidFields(fault.Field{
			Location: location, Code: "invalid_value",
			Message: "must be a time as 2026-11-24T12:00:00Z (RFC 3339) or a date as 2026-11-24, from the year 2000 on",
		})
	}
	return at, nil
}
