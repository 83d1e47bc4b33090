package apiserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	usesGather   = time.Second     // how long uses are gathered into one statement
	usesEvery    = time.Minute     // a key's use is written at most this often
	usesPatience = 5 * time.Second // for the statement
)

// keyUses notes when keys were last used. It is never in a request's way: uses are gathered
// and written later, a key's at most once a minute. What is gathered when the process ends
// is lost.
type keyUses struct {
	write func(ctx context.Context, keys []uuid.UUID, at time.Time) error
	log   *slog.Logger

	mu      sync.Mutex
	noted   map[uuid.UUID]time.Time // when a use was taken for writing, of the last minute or so
	waiting []uuid.UUID
}

// newKeyUses notes uses by means of write.
func newKeyUses(write func(ctx context.Context, keys []uuid.UUID, at time.Time) error, log *slog.Logger) *keyUses {
	return &keyUses{write: write, log: log, noted: map[uuid.UUID]time.Time{}}
}

// add says that a key is used now.
func (u *keyUses) add(key uuid.UUID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if at, ok := u.noted[key]; ok && now.Sub(at) < usesEvery {
		return
	}
	u.noted[key] = now
	u.waiting = append(u.waiting, key)
	if len(u.waiting) == 1 {
		time.AfterFunc(usesGather, u.flush)
	}
}

func (u *keyUses) flush() {
	keys, now := u.take()
	ctx, cancel := context.WithTimeout(context.Background(), usesPatience)
	defer cancel()
	if err := u.write(ctx, keys, now); err != nil {
		u.log.Warn("last use of keys was not written", slog.Int("keys", len(keys)), slog.Any("error", err))
	}
}

func (u *keyUses) take() (keys []uuid.UUID, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now = time.Now()
	for key, at := range u.noted {
		if now.Sub(at) >= usesEvery {
			delete(u.noted, key)
		}
	}
	keys, u.waiting = u.waiting, nil
	return keys, now
}
