package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailtura/mailtura/internal/store"
)

const (
	// summarizeEvery is how old the list of tenants is at the most, while making it is quick.
	summarizeEvery = 5 * time.Second
	// summarizeShare is the part of the time that may go into it when it is not.
	summarizeShare = 20
)

// Summarize makes the summaries of tenants that the list of tenants shows, every few seconds until the context ends.
// Every process may do it: one at a time does.
func Summarize(ctx context.Context, s *store.Store, log *slog.Logger) {
	for {
		began := time.Now()
		if err := s.MakeSummaries(ctx, began); err != nil && ctx.Err() == nil {
			log.Warn("tenant summaries are made later", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(summarizeEvery, summarizeShare*time.Since(began))):
		}
	}
}
