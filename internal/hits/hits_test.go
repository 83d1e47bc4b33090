package hits_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/hits"
	"github.com/mailtura/mailtura/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLedger keeps hits, or does what record says first.
type fakeLedger struct {
	record func([]track.Hit) error // nil: keeps them

	mu     sync.Mutex
	groups [][]track.Hit
}

var _ hits.Ledger = (*fakeLedger)(nil)

// RecordHits says that a recipient is there unless its link is number 404.
func (f *fakeLedger) RecordHits(_ context.Context, batch []track.Hit) ([]bool, error) {
	if f.record != nil {
		if err := f.record(batch); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups = append(f.groups, batch)
	known := make([]bool, len(batch))
	for i, h := range batch {
		known[i] = h.Link != 404
	}
	return known, nil
}

func (f *fakeLedger) recorded() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.Concat(f.groups...))
}

func hit(link int) track.Hit { return track.Hit{Token: track.Token{Link: link}} }

func TestRecorder_AnswersWhenItIsWritten(t *testing.T) {
	t.Parallel()
	f := &fakeLedger{}
	r := hits.New(f, slog.New(slog.DiscardHandler))
	defer r.Close()
	require.Equal(t, hits.Recorded, r.Record(hit(1)))
	require.Equal(t, 1, f.recorded())
	require.Equal(t, hits.Gone, r.Record(hit(404)))
}

// Nobody waits longer than a moment, and what was not waited for is written all the same.
func TestRecorder_DoesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	f := &fakeLedger{record: func([]track.Hit) error { <-held; return nil }}
	r := hits.New(f, slog.New(slog.DiscardHandler))
	require.Equal(t, hits.Waiting, r.Record(hit(1)))
	require.Equal(t, hits.Waiting, r.Record(hit(2)))
	close(held)
	r.Close()
	require.Equal(t, 2, f.recorded())
}

func TestRecorder_WritesTogether(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	f := &fakeLedger{record: func([]track.Hit) error { <-held; return nil }}
	r := hits.New(f, slog.New(slog.DiscardHandler))
	var group sync.WaitGroup
	for i := range 300 {
		group.Go(func() { r.Record(hit(i)) })
	}
	group.Wait()
	close(held)
	r.Close()
	require.Equal(t, 300, f.recorded())
	require.LessOrEqual(t, len(f.groups), 3)
}

func TestRecorder_DropsWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	var log bytes.Buffer
	f := &fakeLedger{record: func([]track.Hit) error { <-held; return nil }}
	r := hits.New(f, slog.New(slog.NewTextHandler(&log, nil)))
	var mu sync.Mutex
	outcomes := map[hits.Outcome]int{}
	var group sync.WaitGroup
	for i := range 12_000 {
		group.Go(func() {
			outcome := r.Record(hit(i))
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	group.Wait()
	close(held)
	r.Close()
	require.Equal(t, 12_000, outcomes[hits.Waiting]+outcomes[hits.Lost])
	require.GreaterOrEqual(t, outcomes[hits.Lost], 900)
	require.Equal(t, outcomes[hits.Waiting], f.recorded())
	require.Contains(t, log.String(), "opens and clicks were lost")
}

func TestRecorder_WaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	var tries int
	f := &fakeLedger{}
	f.record = func([]track.Hit) error {
		if tries++; tries < 3 {
			return fault.New(fault.Unavailable, "database_unavailable", "away")
		}
		return nil
	}
	r := hits.New(f, slog.New(slog.DiscardHandler))
	r.Record(hit(1))
	require.Eventually(t, func() bool { return f.recorded() == 1 }, 10*time.Second, 5*time.Millisecond)
	r.Close()
}

// One that can not be written does not take the others along.
func TestRecorder_OneThatIsWrong(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	started, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := &fakeLedger{record: func(batch []track.Hit) error {
		once.Do(func() { close(started); <-held })
		if slices.ContainsFunc(batch, func(h track.Hit) bool { return h.Link == 13 }) {
			return errors.New("no")
		}
		return nil
	}}
	r := hits.New(f, slog.New(slog.NewTextHandler(&log, nil)))
	outcomes := make(chan hits.Outcome, 4)
	go func() { outcomes <- r.Record(hit(0)) }()
	<-started
	var group sync.WaitGroup
	for _, link := range []int{12, 13, 14} {
		group.Go(func() { r.Record(hit(link)) })
	}
	group.Wait()
	close(held)
	r.Close()
	<-outcomes
	require.Equal(t, 3, f.recorded())
	require.Contains(t, log.String(), "hits could not be recorded")
	require.NotContains(t, log.String(), "hits=3")
}
