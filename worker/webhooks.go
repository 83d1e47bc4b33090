package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	lookForEvents   = 250 * time.Millisecond
	lookForWebhooks = 2 * time.Second // while there are none
	wakeTogether    = 100
	// lookShare keeps the looks at very many webhooks to a tenth of the time.
	lookShare = 10
	// wakeAgain is when a webhook is woken once more, should nothing have come of it.
	wakeAgain = 10 * time.Second
)

// WakeWebhooks has the workflows of webhooks look, until the context ends, when something has
// happened that their endpoints are to be told of. Nothing on the way of an email knows of
// webhooks: one query finds those that are behind. Every worker may do it, since a webhook is
// claimed by the query.
func WakeWebhooks(ctx context.Context, s *store.Store, f *flow.Client, log *slog.Logger) {
	for told := false; ; {
		pause, err := wakeOnce(ctx, s, f)
		if err != nil && ctx.Err() == nil && !told {
			log.Warn("webhooks are told later", slog.Any("error", err))
		}
		told = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func wakeOnce(ctx context.Context, s *store.Store, f *flow.Client) (pause time.Duration, err error) {
	have, err := s.HaveWebhooks(ctx)
	if err != nil || !have {
		return lookForWebhooks, err
	}
	began := time.Now()
	due, err := s.WakeWebhooks(ctx, began, began.Add(wakeAgain), wakeTogether)
	if err != nil {
		return lookForWebhooks, err
	}
	looked := time.Since(began)
	for _, w := range due {
		if err := f.WakeWebhook(telemetry.WithTenant(ctx, w.TenantID), w.TenantID, w.ID); err != nil {
			return lookForWebhooks, err
		}
	}
	return max(lookForEvents, lookShare*looked), nil
}
