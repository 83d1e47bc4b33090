package apiserver

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
)

const (
	feedLook   = 250 * time.Millisecond // how often a log is looked at
	feedPage   = 500
	feedRecent = 1000 // events that are kept for streams that are a little behind
	maxStreams = 10   // of a tenant, in this process
)

// feeds follow the logs of tenants that have streams: one reader each, however many streams.
type feeds struct {
	store *store.Store
	log   *slog.Logger
	mu    sync.Mutex
	feeds map[string]*feed
}

// feed has the newest events of a tenant. Since the log only grows behind what was read, a
// stream that goes on behind the last event it has given misses nothing, wherever it reads.
type feed struct {
	*feeds
	tenantID string
	streams  int // guarded by feeds.mu
	stop     context.CancelFunc

	mu      sync.Mutex
	recent  []store.Event // all that are behind floor
	floor   uuid.UUID
	head    uuid.UUID     // as far as the log was read
	changed chan struct{} // closed when there is more
}

// join counts a stream of a tenant until leave is called.
func (f *feeds) join(ctx context.Context, tenantID string) (joined *feed, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	joined = f.feeds[tenantID]
	if joined == nil {
		if joined, err = f.follow(ctx, tenantID); err != nil {
			return nil, nil, err
		}
	}
	if joined.streams >= maxStreams {
		full := fault.New(fault.Exhausted, "too_many_streams", "The tenant has %d streams of events open, and may have no more here.", maxStreams)
		full.RetryAfter = time.Minute
		return nil, nil, full
	}
	joined.streams++
	return joined, sync.OnceFunc(func() { f.leave(joined) }), nil
}

// follow begins to read a log, from now on.
func (f *feeds) follow(ctx context.Context, tenantID string) (*feed, error) {
	horizon, err := f.store.EventsHorizon(ctx)
	if err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	one := &feed{feeds: f, tenantID: tenantID, stop: stop, floor: horizon, head: horizon, changed: make(chan struct{})}
	f.feeds[tenantID] = one
	go one.read(reading)
	return one, nil
}

func (f *feeds) leave(left *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left.streams--; left.streams == 0 {
		left.stop()
		delete(f.feeds, left.tenantID)
	}
}

// read reads the log until the last stream has left.
func (f *feed) read(ctx context.Context) {
	after := f.head
	for told := false; ; {
		events, err := f.store.ListEvents(ctx, f.tenantID, nil, after, feedPage)
		if err != nil && ctx.Err() == nil && !told {
			f.log.WarnContext(ctx, "streams of events stand still", slog.Any("error", err))
		}
		told = err != nil
		if len(events) > 0 {
			after = events[len(events)-1].ID
			f.add(events)
		}
		if len(events) == feedPage && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(feedLook):
		}
	}
}

func (f *feed) add(events []store.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent = append(f.recent, events...)
	if extra := len(f.recent) - feedRecent; extra > feedRecent {
		f.floor = f.recent[extra-1].ID
		f.recent = slices.Clone(f.recent[extra:])
	}
	f.head = events[len(events)-1].ID
	close(f.changed)
	f.changed = make(chan struct{})
}

// behind gives the events behind one; ok is false when they are not all here any more.
// changed is closed when there are more.
func (f *feed) behind(after uuid.UUID) (events []store.Event, changed <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if compare(after, f.floor) < 0 {
		return nil, f.changed, false
	}
	i, found := slices.BinarySearchFunc(f.recent, after, func(e store.Event, after uuid.UUID) int { return compare(e.ID, after) })
	if found {
		i++
	}
	return slices.Clone(f.recent[i:]), f.changed, true
}

// position is as far as the log was read.
func (f *feed) position() uuid.UUID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head
}

func compare(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
