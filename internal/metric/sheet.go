package metric

// Sheet gathers counts of a query, until it is known which groups are to be shown.
type Sheet struct {
	query   Query
	keys    []string
	numbers map[string]int32 // of keys, by which entries have them
	totals  []int64          // of keys
	entries [][]entry        // in pieces, since there can be thousands that are never looked at alone
	closed  bool             // keys that are not there are not shown
}

type entry struct {
	window, key int32
	Counts
}

// others is the number of all keys that are not shown.
const others = -1

// NewSheet is empty.
func NewSheet(q Query) *Sheet { return &Sheet{query: q, numbers: map[string]int32{}} }

// Only has the counts of other keys than these be those of the others.
func (s *Sheet) Only(keys []string) {
	for _, key := range keys {
		s.number(key)
	}
	s.closed = true
}

func (s *Sheet) number(key string) int32 {
	n, found := s.numbers[key]
	switch {
	case found:
	case s.closed:
		return others
	default:
		n = int32(len(s.keys))
		s.numbers[key] = n
		s.keys, s.totals = append(s.keys, key), append(s.totals, 0)
	}
	return n
}

// Add adds what a key has in a window.
func (s *Sheet) Add(window int, key string, c Counts) {
	n := s.number(key)
	if n != others {
		s.totals[n] += c.Total()
	}
	s.enter(window, n, c)
}

// AddOthers adds what keys that are not shown have in a window.
func (s *Sheet) AddOthers(window int, c Counts) {
	s.enter(window, others, c)
}

func (s *Sheet) enter(window int, key int32, c Counts) {
	last := len(s.entries) - 1
	if last < 0 || len(s.entries[last]) == cap(s.entries[last]) {
		s.entries = append(s.entries, make([]entry, 0, 64<<min(len(s.entries), 6)))
		last++
	}
	s.entries[last] = append(s.entries[last], entry{int32(window), key, c})
}

// AddTally adds what a tally has of the query.
func (s *Sheet) AddTally(t *Tally) {
	for p, c := range t.Counts {
		if i := s.query.window(p); i >= 0 {
			s.Add(i, p.Key, *c)
		}
	}
}

// Table shows the keys with the most events apart, and all others together.
func (s *Sheet) Table() *Table {
	totals := make(map[string]int64, len(s.keys))
	for i, key := range s.keys {
		totals[key] = s.totals[i]
	}
	t := &Table{Windows: s.query.Windows}
	place := make([]int, len(s.keys))
	for i := range place {
		place[i] = MaxGroups
	}
	for i, key := range Rank(totals) {
		place[s.numbers[key]] = i
		t.Groups = append(t.Groups, Group{Key: key})
	}
	shown := len(t.Groups)
	t.Groups = append(t.Groups, Group{Other: true})
	t.cells, t.filled = make([]Counts, len(t.Windows)*len(t.Groups)), make([]bool, len(t.Windows)*len(t.Groups))
	for _, piece := range s.entries {
		for i := range piece {
			group := shown
			if piece[i].key != others {
				group = min(shown, place[piece[i].key])
			}
			cell := int(piece[i].window)*len(t.Groups) + group
			t.cells[cell].Add(piece[i].Counts)
			t.filled[cell] = true
		}
	}
	return t
}

// Table is the answer to a query.
type Table struct {
	Windows []Window
	Groups  []Group // those with the most events first, all others together at the end
	cells   []Counts
	filled  []bool
}

// Group is one of a dimension, or all that are not among those that are shown.
type Group struct {
	Key   string
	Other bool
}

// Each gives what there is, by window and then by group, as the numbers of these.
func (t *Table) Each(do func(window, group int, c *Counts)) {
	for i := range t.cells {
		if t.filled[i] {
			do(i/len(t.Groups), i%len(t.Groups), &t.cells[i])
		}
	}
}

// Sums are what each window has in all groups together.
func (t *Table) Sums() []Counts {
	sums := make([]Counts, len(t.Windows))
	t.Each(func(window, _ int, c *Counts) { sums[window].Add(*c) })
	return sums
}
