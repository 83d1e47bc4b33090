package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	rollEvery   = 2 * time.Second
	rollChunk   = 5000 // events of a tenant in one transaction
	rollTenants = 500
)

// RollMetrics adds new events to the metrics of their tenants, at once and then every 2 s until
// the context ends. Every process may do it: while one is at a tenant, others pass it by. What
// is not rolled up yet is counted from the events when somebody asks, so a delay costs time only.
func RollMetrics(ctx context.Context, s *store.Store, log *slog.Logger) {
	repeat(ctx, rollEvery, func() {
		if err := rollAll(ctx, s, log); err != nil && ctx.Err() == nil {
			log.Warn("metrics are rolled up later", slog.Any("error", err))
		}
	})
}

// rollAll goes through the tenants that have new events, a chunk of each at a time, until no
// tenant had a whole chunk.
func rollAll(ctx context.Context, s *store.Store, log *slog.Logger) error {
	for after, behind := "", false; ctx.Err() == nil; {
		tenants, err := s.TenantsToRoll(ctx, after, rollTenants)
		if err != nil {
			return err
		}
		for _, after = range tenants {
			rolled, err := s.RollMetrics(ctx, after, rollChunk)
			if err != nil && ctx.Err() == nil {
				log.Warn("metrics of a tenant are rolled up later", slog.String(telemetry.TenantID, after), slog.Any("error", err))
			}
			behind = behind || rolled == rollChunk
		}
		if len(tenants) == rollTenants {
			continue
		}
		if !behind {
			return nil
		}
		after, behind = "", false
	}
	return nil
}
