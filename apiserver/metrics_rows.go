package apiserver

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/metric"
)

// metricsAnswer is a Metrics before it is text. An answer can have 10,000 items of 29 members,
// which are written by hand: encoding/json takes several times as long.
type metricsAnswer struct {
	q     metric.Query
	head  Metrics // without items
	table *metric.Table
}

// each gives the items in order; without groups those of empty windows, too.
func (m metricsAnswer) each(do func(window, group int, c *metric.Counts)) {
	if m.q.Dimension != metric.All {
		m.table.Each(do)
		return
	}
	sums := m.table.Sums()
	for i := range sums {
		do(i, 0, &sums[i])
	}
}

// itemSize is about how many bytes an item has in JSON, and more than it has in CSV.
const itemSize = 512

// buffer is room for all items.
func (m metricsAnswer) buffer() []byte {
	items := 1
	m.each(func(int, int, *metric.Counts) { items++ })
	return make([]byte, 0, items*itemSize)
}

// json is what encoding/json makes of a Metrics.
func (m metricsAnswer) json() ([]byte, error) {
	m.head.Items = []MetricsRow{}
	head, err := json.Marshal(m.head)
	if err != nil {
		return nil, err
	}
	windows, groups := make([]string, len(m.table.Windows)), make([]string, len(m.table.Groups))
	for i, w := range m.table.Windows {
		windows[i] = `{"start":"` + w.Start.Format(time.RFC3339Nano) + `","end":"` + w.End.Format(time.RFC3339Nano) + `","group":`
	}
	for i, g := range m.table.Groups {
		key := []byte("null")
		if m.q.Dimension != metric.All && !g.Other {
			if key, err = json.Marshal(g.Key); err != nil {
				return nil, err
			}
		}
		groups[i] = string(key) + `,"other":` + strconv.FormatBool(g.Other)
	}
	counters, rates := members[metric.Counts](), members[metric.Rates]()
	out := append(m.buffer(), bytes.TrimSuffix(head, []byte("]}"))...)
	first := len(out)
	m.each(func(window, group int, c *metric.Counts) {
		item := out // while it is only here it costs the garbage collector nothing
		if len(item) > first {
			item = append(item, ',')
		}
		item = append(append(item, windows[window]...), groups[group]...)
		for i, n := range c.All() {
			item = strconv.AppendInt(append(item, counters[i]...), *n, 10)
		}
		for i, rate := range c.Rates().All() {
			if item = append(item, rates[i]...); rate == nil {
				item = append(item, "null"...)
			} else {
				item = strconv.AppendFloat(item, *rate, 'f', -1, 64)
			}
		}
		out = append(item, '}')
	})
	return append(out, "]}"...), nil
}

// members are the names of a struct's members as they stand between the values.
func members[T any]() []string {
	list := names[T]()
	for i, name := range list {
		list[i] = `,"` + name + `":`
	}
	return list
}

func names[T any]() (list []string) {
	for field := range reflect.TypeFor[T]().Fields() {
		list = append(list, field.Tag.Get("json"))
	}
	return list
}

// csv has the items, a line each (RFC 4180); what is null is empty.
func (m metricsAnswer) csv() []byte {
	windows, groups := make([]string, len(m.table.Windows)), make([]string, len(m.table.Groups))
	for i, w := range m.table.Windows {
		windows[i] = w.Start.Format(time.RFC3339) + "," + w.End.Format(time.RFC3339) + ","
	}
	for i, g := range m.table.Groups {
		groups[i] = quoted(harmless(g.Key)) + "," + strconv.FormatBool(g.Other)
	}
	header := append(append([]string{"start", "end", "group", "other"}, names[metric.Counts]()...), names[metric.Rates]()...)
	out := append(m.buffer(), strings.Join(header, ",")+"\n"...)
	m.each(func(window, group int, c *metric.Counts) {
		line := append(append(out, windows[window]...), groups[group]...)
		for _, n := range c.All() {
			line = strconv.AppendInt(append(line, ','), *n, 10)
		}
		for _, rate := range c.Rates().All() {
			if line = append(line, ','); rate != nil {
				line = strconv.AppendFloat(line, *rate, 'f', -1, 64)
			}
		}
		out = append(line, '\n')
	})
	return out
}

// quoted is a text as a field of CSV.
func quoted(text string) string {
	var out strings.Builder
	w := csv.NewWriter(&out)
	_ = w.Write([]string{text, ""}) // to memory
	w.Flush()
	return strings.TrimSuffix(out.String(), ",\n")
}

// harmless keeps a spreadsheet from taking a text for a formula, as OWASP advises.
func harmless(text string) string {
	if strings.ContainsAny(text[:min(1, len(text))], "=+-@\t\r") {
		return "'" + text
	}
	return text
}
