package quota_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/quota"
)

// horizon and lead are those of the workflow and of the processes that ask it.
const (
	horizon = 1500 * time.Millisecond
	lead    = 500 * time.Millisecond
)

func drawRate(t *rapid.T) quota.Rate {
	return quota.Rate{
		Count: rapid.IntRange(1, 5000).Draw(t, "count"),
		Per:   rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "per"),
		Burst: rapid.IntRange(1, 100).Draw(t, "burst"),
	}
}

// drawAffordable has a burst that covers the least lateness, as the default burst does.
func drawAffordable(t *rapid.T) quota.Rate {
	r := drawRate(t)
	late := int(20*time.Millisecond*time.Duration(r.Count)/r.Per) + 1
	r.Burst = max(r.Burst, 2*late)
	return r
}

// attempt is one that a process made.
type attempt struct {
	at   time.Time
	rate quota.Rate // that its slot was given under
}

// history is what became of the slots of one bucket.
type history struct {
	bucket   quota.Bucket
	rate     quota.Rate
	now      time.Time
	attempts []attempt
}

// ask has some process take slots and do with each what processes do: use it in time,
// however late, or never, because it has nothing to send, or was killed.
func (h *history) ask(t *rapid.T) {
	s := h.bucket.Grant(h.rate, h.now, rapid.IntRange(1, 40).Draw(t, "want"), horizon)
	killedAt := h.now.Add(time.Duration(rapid.Float64Range(0.1, 9).Draw(t, "lives") * float64(horizon)))
	keen := rapid.Bool().Draw(t, "keen") // uses every slot, as late as it may
	for i := range s.Count {
		late := s.Slack
		if !keen {
			if rapid.IntRange(0, 9).Draw(t, "idle") == 0 {
				continue
			}
			late = time.Duration(rapid.Float64Range(0, 1).Draw(t, "late") * float64(s.Slack))
		}
		if at := s.At(i).Add(late); at.Before(killedAt) {
			h.attempts = append(h.attempts, attempt{at, h.rate})
		}
	}
}

// pass lets time go by; the clock that the bucket reads may also be set back.
func (h *history) pass(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.Float64Range(-0.5, 6).Draw(t, "pause") * float64(min(h.rate.Interval(), horizon))))
}

func (h *history) change(r quota.Rate) {
	h.bucket.Adopt(h.rate, r, h.now)
	h.rate = r
}

func (h *history) sort() {
	slices.SortStableFunc(h.attempts, func(a, b attempt) int { return a.at.Compare(b.at) })
}

// requirePromise checks every window at once: an attempt fills a bucket that leaks at the
// rate, which is above the burst when there are too many in any window that ends with it.
// Where there were several rates, the largest rate and burst count.
func requirePromise(t *rapid.T, attempts []attempt, allowance float64) {
	var perSecond, burst, level float64
	for _, a := range attempts {
		perSecond = max(perSecond, float64(a.rate.Count)/a.rate.Per.Seconds())
		burst = max(burst, float64(a.rate.Burst))
	}
	for i, a := range attempts {
		if i > 0 {
			level = max(0, level-a.at.Sub(attempts[i-1].at).Seconds()*perSecond)
		}
		if level++; level > burst+allowance+1e-6 {
			t.Fatalf("%.3f over %v/s at number %d, %v, of a burst of %v", level, perSecond, i, a.at.Sub(attempts[0].at), burst)
		}
	}
}

// The slots alone keep the promise wherever the burst covers the least lateness: that is
// what several processes rely on, who know nothing of each other.
func TestRate_PromiseHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := history{rate: drawAffordable(t), now: epoch}
		for range rapid.IntRange(1, 60).Draw(t, "grants") {
			h.ask(t)
			h.pass(t)
		}
		h.sort()
		requirePromise(t, h.attempts, 0)
	})
}

// A change of the rate adds no more than the other burst, for those that are late under
// the old rate when the new one begins.
func TestRate_PromiseHoldsAcrossAChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := history{rate: drawAffordable(t), now: epoch}
		next := drawAffordable(t)
		smaller := min(h.rate.Burst, next.Burst)
		at := rapid.IntRange(0, 30).Draw(t, "change")
		for i := range rapid.IntRange(1, 60).Draw(t, "grants") {
			if i == at {
				h.change(next)
			}
			h.ask(t)
			h.pass(t)
		}
		h.sort()
		requirePromise(t, h.attempts, float64(smaller))
	})
}

// The gate of a process keeps the promise whatever it is asked to admit, for any rate, and
// while slots of several rates are used by turns. Only a burst that is lowered is forgiven.
func TestGate_PromiseHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rates := rapid.SliceOfN(rapid.Custom(drawRate), 1, 3).Draw(t, "rates")
		var gate quota.Gate
		var attempts []attempt
		var forgiven float64
		now, rate := epoch, rates[0]
		for range rapid.IntRange(1, 300).Draw(t, "attempts") {
			if rapid.IntRange(0, 4).Draw(t, "changes") == 0 {
				next := rapid.SampledFrom(rates).Draw(t, "rate")
				forgiven += max(0, float64(rate.Burst-next.Burst))
				rate = next
			}
			if rapid.IntRange(0, 9).Draw(t, "waits") == 0 {
				now = now.Add(time.Duration(rapid.Float64Range(0, 5).Draw(t, "pause") * float64(rate.Interval())))
			}
			now = gate.Admit(rate, now)
			attempts = append(attempts, attempt{now, rate})
		}
		requirePromise(t, attempts, forgiven)
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A tenant with enough to do uses at least 97 % of its rate, by however many processes that
// ask for more a little before there is any, if late.
func TestRate_IsUsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := drawRate(t)
		var b quota.Bucket
		asks := make([]time.Time, rapid.IntRange(1, 16).Draw(t, "processes")) // when each does again
		for i := range asks {
			asks[i] = epoch
		}
		granted := 0
		end := epoch.Add(max(time.Minute, 1000*rate.Interval()))
		for now := epoch; now.Before(end); {
			first := 0
			for i := range asks {
				if asks[i].Before(asks[first]) {
					first = i
				}
			}
			now = later(now, asks[first])
			s := b.Grant(rate, now, 1<<30, horizon)
			for i := range s.Count {
				if at := s.At(i); at.After(epoch) && !at.After(end) { // without the burst that is there at first
					granted++
				}
			}
			again := later(now, b.Opens(rate).Add(-lead))
			asks[first] = again.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "late ms")) * time.Millisecond)
		}
		allowed := end.Sub(epoch).Seconds() * float64(rate.Count) / rate.Per.Seconds()
		if used := float64(granted) / allowed; used < 0.97 {
			t.Fatalf("%.4f of %+v is used", used, rate)
		}
	})
}
