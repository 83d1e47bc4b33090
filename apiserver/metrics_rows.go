package apiserver

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/metric"
)

// metricsRows are the cells in order, and without groups also the windows that are empty.
func metricsRows(q metric.Query, cells map[metric.Cell]*metric.Counts) []MetricsRow {
	totals := map[metric.Group]int64{}
	order := make([]metric.Cell, 0, len(cells))
	for cell, c := range cells {
		totals[cell.Group] += c.Total()
		order = append(order, cell)
	}
	if q.Dimension == metric.All {
		order = order[:0]
		for i := range q.Windows {
			order = append(order, metric.Cell{Window: i})
		}
	}
	slices.SortFunc(order, func(a, b metric.Cell) int {
		return cmp.Or(cmp.Compare(a.Window, b.Window), compareGroups(a.Group, b.Group, totals))
	})
	rows := make([]MetricsRow, len(order))
	for i, cell := range order {
		w := q.Windows[cell.Window]
		rows[i] = MetricsRow{Start: w.Start, End: w.End, Other: cell.Group.Other}
		if c := cells[cell]; c != nil {
			rows[i].Counts = *c
		}
		rows[i].Rates = rows[i].Counts.Rates()
		if q.Dimension != metric.All && !cell.Group.Other {
			rows[i].Group = &cell.Group.Key
		}
	}
	return rows
}

// compareGroups has the others at the end.
func compareGroups(a, b metric.Group, totals map[metric.Group]int64) int {
	if a.Other != b.Other {
		if a.Other {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(totals[b], totals[a]), strings.Compare(a.Key, b.Key))
}

// metricsCSV has the items, a line each (RFC 4180).
func metricsCSV(doc Metrics) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(csvHeader()) // to memory
	for _, row := range doc.Items {
		line := []string{row.Start.Format(time.RFC3339), row.End.Format(time.RFC3339), "", strconv.FormatBool(row.Other)}
		if row.Group != nil {
			line[2] = harmless(*row.Group)
		}
		for _, part := range []any{row.Counts, row.Rates} {
			v := reflect.ValueOf(part)
			for i := range v.NumField() {
				line = append(line, csvValue(v.Field(i)))
			}
		}
		_ = w.Write(line) // to memory
	}
	w.Flush()
	return out.Bytes()
}

func csvHeader() []string {
	header := []string{"start", "end", "group", "other"}
	for _, part := range []reflect.Type{reflect.TypeFor[metric.Counts](), reflect.TypeFor[metric.Rates]()} {
		for i := range part.NumField() {
			header = append(header, part.Field(i).Tag.Get("json"))
		}
	}
	return header
}

// csvValue is a number; what is null is empty.
func csvValue(v reflect.Value) string {
	if v.Kind() == reflect.Int64 {
		return strconv.FormatInt(v.Int(), 10)
	}
	if v.IsNil() {
		return ""
	}
	return strconv.FormatFloat(v.Elem().Float(), 'f', -1, 64)
}

// harmless keeps a spreadsheet from taking a text for a formula, as OWASP advises.
func harmless(text string) string {
	if strings.ContainsAny(text[:min(1, len(text))], "=+-@\t\r") {
		return "'" + text
	}
	return text
}
