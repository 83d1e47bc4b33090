// Package hits records opens and clicks as they come, many with one commit.
//
// A hit waits in memory until it is written. Whoever brings it waits with it, but not for
// long: a reader who follows a link is more important than its record. So what a process has
// in memory when it is killed is lost, and so is what comes when the memory for it is full.
package hits

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/track"
)

const (
	room     = 10_000                 // hits that wait
	group    = 1000                   // hits in one transaction
	patience = 50 * time.Millisecond  // of who brings a hit
	gather   = 5 * time.Millisecond   // between transactions, for more hits to come together
	again    = 200 * time.Millisecond // while the database is away
	farewell = 5 * time.Second        // for what is left at the end
	timeout  = 15 * time.Second       // of one transaction
	tellLoss = time.Minute            // between two lines in the log about it
)

// Ledger keeps hits, and says of each whether its recipient is still there.
type Ledger interface {
	RecordHits(ctx context.Context, hits []track.Hit) (known []bool, err error)
}

// Outcome is what became of a hit.
type Outcome int

// The outcomes.
const (
	Waiting  Outcome = iota // it will be written soon
	Recorded                // it is written
	Gone                    // its recipient is not there any more
	Lost                    // there was no room, or it could not be written
)

// Recorder writes hits.
type Recorder struct {
	ledger  Ledger
	log     *slog.Logger
	queue   chan waiting
	lost    atomic.Int64 // since it was told of
	closing chan struct{}
	done    chan struct{}
}

type waiting struct {
	track.Hit
	outcome chan Outcome
}

// New starts to record.
func New(ledger Ledger, log *slog.Logger) *Recorder {
	r := &Recorder{
		ledger: ledger, log: log, queue: make(chan waiting, room), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// Record has a hit written, and waits for that for a moment.
func (r *Recorder) Record(h track.Hit) Outcome {
	w := waiting{h, make(chan Outcome, 1)}
	select {
	case r.queue <- w:
	default:
		r.lost.Add(1)
		return Lost
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case outcome := <-w.outcome:
		return outcome
	case <-enough.C:
		return Waiting
	}
}

// Close writes what waits. No hits may be brought any more.
func (r *Recorder) Close() {
	close(r.closing)
	<-r.done
}

func (r *Recorder) run() {
	defer close(r.done)
	tell := time.NewTicker(tellLoss)
	defer tell.Stop()
	defer r.tellLoss()
	for {
		select {
		case w := <-r.queue:
			r.write(r.next(w))
			r.pause(gather)
		case <-tell.C:
			r.tellLoss()
		case <-r.closing:
			for len(r.queue) > 0 {
				r.write(r.next(<-r.queue))
			}
			return
		}
	}
}

// next is what has come together.
func (r *Recorder) next(first waiting) []waiting {
	batch := []waiting{first}
	for len(batch) < group {
		select {
		case w := <-r.queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// write writes a group. While the database is away it tries again; what can not be written
// for another reason does not take the others along.
func (r *Recorder) write(batch []waiting) {
	hits := make([]track.Hit, len(batch))
	for i, w := range batch {
		hits[i] = w.Hit
	}
	known, err := r.record(hits)
	for began := time.Now(); fault.KindOf(err) == fault.Unavailable; {
		if r.pause(again) && time.Since(began) > farewell {
			break
		}
		known, err = r.record(hits)
	}
	switch {
	case err == nil:
		for i, w := range batch {
			w.outcome <- outcomeOf(known[i])
		}
	case len(batch) > 1 && fault.KindOf(err) != fault.Unavailable:
		for i := range batch {
			r.write(batch[i : i+1])
		}
	default:
		r.lost.Add(int64(len(batch)))
		r.log.Error("hits could not be recorded", slog.Int("hits", len(batch)), slog.Any("error", err))
		for _, w := range batch {
			w.outcome <- Lost
		}
	}
}

func outcomeOf(known bool) Outcome {
	if known {
		return Recorded
	}
	return Gone
}

func (r *Recorder) record(hits []track.Hit) ([]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.ledger.RecordHits(ctx, hits)
}

// pause waits, unless the end has come.
func (r *Recorder) pause(d time.Duration) (closing bool) {
	select {
	case <-r.closing:
		time.Sleep(min(d, gather)) // what is tried again at the end is not tried without a breath
		return true
	case <-time.After(d):
		return false
	}
}

func (r *Recorder) tellLoss() {
	if n := r.lost.Swap(0); n > 0 {
		r.log.Warn("opens and clicks were lost", slog.Int64("hits", n))
	}
}
