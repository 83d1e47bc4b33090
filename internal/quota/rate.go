// Package quota is the arithmetic of limits: calendar days, and rates.
//
// A rate of Count per Per with a Burst promises that over any window w there are at
// most Count×w/Per + Burst attempts, by however many worker processes. It is kept by
// handing out slots: instants at which one attempt may start. Slots come from the
// generic cell rate algorithm (ITU-T I.371), so any interval of length L has at most
// L/Interval + capacity of them; an attempt may start up to Slack later than its slot,
// after which the slot lapses. The burst is therefore split between what may start at
// once (capacity) and lateness (Slack: half a second, if the burst has so much), and slots
// are spaced spacing times wider than the rate asks, which pays for the lateness of a rate
// without burst:
//
//	attempts(w) ≤ slots(w + Slack) ≤ (w + Slack)/Interval + capacity ≤ Count×w/Per + Burst
//
// No process starts anything to the microsecond, so Slack is never less than 20 ms, which
// a fast rate with a small burst can not afford. What it then lacks is made up where the
// attempts are: each process passes them through a Gate, which keeps the promise over the
// actual times. Only several processes that are late at the same time can exceed such a
// rate, by what fits into 20 ms.
//
// When a rate changes, what was spent counts against the new one as so many permits, and
// new slots begin after those that are handed out. So a window with a change in it has no
// more attempts than the larger rate and the larger burst allow, except that a burst which
// is lowered is forgiven, and that several processes may each be late at once, by no more
// than the other burst.
package quota

import (
	"math"
	"time"
)

const (
	// spacing is how much wider than the rate slots are spaced; it costs 2 % of the rate.
	spacing = 0.02
	// leastSlack is what a busy machine needs to start an attempt.
	leastSlack = 20 * time.Millisecond
	// enoughSlack is all the lateness that is worth a part of the burst. More would also
	// keep permits of a rate good for longer after it was lowered.
	enoughSlack = 500 * time.Millisecond
)

// Rate is a throttle. The zero Rate is no throttle.
type Rate struct {
	Count int           `json:"count"` // permits per Per
	Per   time.Duration `json:"per"`
	Burst int           `json:"burst"` // ≥ 1
}

// IsZero reports whether there is no throttle.
func (r Rate) IsZero() bool { return r.Count == 0 }

// DefaultBurst is one second's worth of permits, at least 2.
func (r Rate) DefaultBurst() int {
	return max(2, int(int64(r.Count)*int64(time.Second)/int64(r.Per)))
}

// Above reports whether a rate allows at some time what another one does not.
func (r Rate) Above(other Rate) bool {
	return r.Interval() < other.Interval() || r.Burst > other.Burst
}

// even is the time between two attempts at this rate, rounded up.
func (r Rate) even() time.Duration {
	return (r.Per + time.Duration(r.Count) - 1) / time.Duration(r.Count)
}

// Interval is the time between two slots.
func (r Rate) Interval() time.Duration {
	return time.Duration(float64(r.Per) / float64(r.Count) * (1 + spacing))
}

// Slack is how long after its slot an attempt may start.
func (r Rate) Slack() time.Duration {
	return max(leastSlack, time.Duration(float64(r.Per)/float64(r.Count)*(float64(r.Burst-r.capacity())+spacing)))
}

// capacity is how many slots may be at the same instant: half of the burst, or more where
// the other half would be more lateness than is worth it.
func (r Rate) capacity() int {
	late := int((enoughSlack + r.even() - 1) / r.even())
	return max((r.Burst+1)/2, r.Burst-late)
}

// Bucket hands out the slots of one rate. Next is the theoretical arrival time of
// the next slot; the zero Bucket is full.
type Bucket struct {
	Next time.Time `json:"next"`
}

// Slots are permits for attempts: number i (from 0) may start from At(i) until Slack later.
type Slots struct {
	Count    int           `json:"count"`
	First    time.Time     `json:"first"` // theoretical time of number 0; not before NotBefore in effect
	From     time.Time     `json:"from"`  // no slot is earlier than this
	Interval time.Duration `json:"interval"`
	Slack    time.Duration `json:"slack"`
}

// At is the instant of slot i.
func (s Slots) At(i int) time.Time {
	at := s.First.Add(time.Duration(i) * s.Interval)
	if at.Before(s.From) {
		return s.From
	}
	return at
}

// Grant hands out up to want slots that are not later than now + horizon.
func (b *Bucket) Grant(r Rate, now time.Time, want int, horizon time.Duration) Slots {
	interval, early := r.Interval(), time.Duration(r.capacity()-1)*r.Interval()
	if b.Next.Before(now) {
		b.Next = now
	}
	s := Slots{First: b.Next.Add(-early), From: now, Interval: interval, Slack: r.Slack()}
	if limit := now.Add(horizon); !s.First.After(limit) {
		s.Count = min(want, int(limit.Sub(s.First)/interval)+1)
	}
	b.Next = b.Next.Add(time.Duration(s.Count) * interval)
	return s
}

// Opens is the instant of the next slot; before now when there is one already.
func (b *Bucket) Opens(r Rate) time.Time {
	return b.Next.Add(-time.Duration(r.capacity()-1) * r.Interval())
}

// Adopt changes the rate of the bucket. Slots of the old rate that are handed out stay
// good, so those of the new one come after them; of what was spent before, the new rate
// counts as many permits, and forgets the time that the old one asked to wait for them.
func (b *Bucket) Adopt(old, r Rate, now time.Time) {
	if old.IsZero() {
		return
	}
	from := now
	if last := b.Opens(old).Add(-old.Interval()); last.After(now) {
		from = last
	}
	b.Next = convert(b.Next, from, old.Interval(), r.Interval(), r.capacity())
}

// convert is the theoretical arrival time under another interval: it is ahead of an
// instant by as many permits as before, at most limit.
func convert(next, from time.Time, before, interval time.Duration, limit int) time.Time {
	ahead := next.Sub(from)
	if ahead <= 0 {
		return next
	}
	permits := min(float64(ahead)/float64(before), float64(limit))
	return from.Add(time.Duration(math.Ceil(permits * float64(interval))))
}

// Gate keeps the promise of a rate over the actual times of the attempts of one process.
// The zero Gate is open.
type Gate struct {
	next time.Time
	rate Rate // of the last attempt
}

// Admit says when the next attempt may start, at now or later, and counts it.
func (g *Gate) Admit(r Rate, now time.Time) time.Time {
	if r != g.rate && !g.rate.IsZero() {
		g.next = convert(g.next, now, g.rate.even(), r.even(), r.Burst)
	}
	g.rate = r
	at := now
	if earliest := g.next.Add(-time.Duration(r.Burst-1) * r.even()); earliest.After(at) {
		at = earliest
	}
	if g.next.Before(at) {
		g.next = at
	}
	g.next = g.next.Add(r.even())
	return at
}
