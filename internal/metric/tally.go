package metric

import (
	"slices"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/event"
)

// Types of events whose first one of a recipient is counted apart.
const (
	Opened  event.Type = "email.opened"
	Clicked event.Type = "email.clicked"
)

// Dimension is by what events are counted.
type Dimension string

// The dimensions.
const (
	All      Dimension = "total"
	Template Dimension = "template"
	Tag      Dimension = "tag"
	Domain   Dimension = "domain"
)

// Grain is how long the intervals of counts are.
type Grain string

// The grains.
const (
	Quarter Grain = "quarter" // of an hour
	Hour    Grain = "hour"    // of UTC
	Day     Grain = "day"     // of a time zone
)

// Fact is an event with what it is counted by.
type Fact struct {
	Type      event.Type
	At        time.Time
	Automated bool // opened or clicked by a program
	First     bool // the first of a recipient, of opens and clicks that are not automated
	Template  string
	Tags      []string
	Address   string // of the recipient
}

// Place is where a fact counts. Key is the name of the template, tag or domain, empty for none.
type Place struct {
	Dimension Dimension
	Grain     Grain
	At        time.Time // beginning of the quarter or hour; of a day, its date at 0:00 UTC
	Key       string
}

// Tally is counts by place.
type Tally struct {
	zone   *time.Location
	Counts map[Place]*Counts
}

// NewTally has the days of a time zone.
func NewTally(zone *time.Location) *Tally {
	return &Tally{zone: zone, Counts: map[Place]*Counts{}}
}

// Add counts a fact.
func (t *Tally) Add(f Fact) {
	var one Counts
	if !one.count(f) {
		return
	}
	quarter, hour, day := f.At.UTC().Truncate(15*time.Minute), f.At.UTC().Truncate(time.Hour), DateOf(f.At, t.zone)
	add := func(d Dimension, key string) {
		t.at(Place{d, Quarter, quarter, key}).Add(one)
		t.at(Place{d, Hour, hour, key}).Add(one)
		t.at(Place{d, Day, day, key}).Add(one)
	}
	add(All, "")
	add(Template, f.Template)
	add(Domain, domainOf(f.Address))
	tags := slices.Compact(slices.Sorted(slices.Values(f.Tags)))
	for _, tag := range tags {
		add(Tag, tag)
	}
	if len(tags) == 0 {
		add(Tag, "")
	}
}

func (t *Tally) at(p Place) *Counts {
	c := t.Counts[p]
	if c == nil {
		c = &Counts{}
		t.Counts[p] = c
	}
	return c
}

func domainOf(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(address[at+1:])
}

// DateOf is the date of an instant in a zone, as the instant at which it is 0:00 in UTC.
func DateOf(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
