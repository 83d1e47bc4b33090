package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// report is a table of what became of the mail of each tenant.
func (s *system) report(t *testing.T, loads []*load, struck []time.Time) string {
	t.Helper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\temails\tasked again\trecipients\tarrived\tduplicates\tcut off\theld\tfirst new mail p50\tmax\tlast old mail p50\tmax")
	for _, l := range loads {
		recipients, arrived, duplicates, cutOff, held, again := 0, 0, 0, 0, 0, 0
		for _, r := range s.records(t, l) {
			recipients++
			cutOff += r.count("unknown")
			if r.Status == "unknown" {
				held++
			}
		}
		for _, at := range s.arrivals(l) {
			arrived++
			duplicates += len(at) - 1
		}
		for _, a := range l.accepted {
			again += a.tries - 1
		}
		newest, oldest := s.recovery(l, struck)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t%v\n", l.name, len(l.accepted), again, recipients, arrived, duplicates,
			cutOff, held, median(newest), slices.Max(newest), median(oldest), slices.Max(oldest))
	}
	_ = w.Flush() // into memory
	return text.String()
}

// recovery is how long it took, after each kill, until the first mail that was accepted after
// it arrived, and until the last one that was accepted before it did.
func (s *system) recovery(l *load, struck []time.Time) (newest, oldest []time.Duration) {
	acceptedAt := map[string]time.Time{}
	for _, a := range l.accepted {
		acceptedAt[a.Id] = a.at
	}
	arrivals := s.arrivals(l)
	for _, kill := range struck {
		first, last := time.Duration(0), time.Duration(0)
		for mail, at := range arrivals {
			if acceptedAt[mail.ID].Before(kill) {
				last = max(last, at[len(at)-1].Sub(kill))
			} else if came := at[0].Sub(kill); first == 0 || came < first {
				first = came
			}
		}
		newest = append(newest, first.Round(10*time.Millisecond))
		oldest = append(oldest, last.Round(10*time.Millisecond))
	}
	return newest, oldest
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
