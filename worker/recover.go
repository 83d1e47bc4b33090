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
	recoverEvery = 10 * time.Second
	// recoverAfter is how long a request has to start a life-cycle workflow itself.
	recoverAfter = 10 * time.Second
	// keepDeliveries is how long the log of webhook calls is kept.
	keepDeliveries = 7 * 24 * time.Hour
	forgetTogether = 20_000
)

// Recover starts, at once and then every 10 s until the context ends, the life-cycle
// workflows that a crash or an outage of Temporal kept from starting, bulk sends and those of domains among them. Workflow ids keep
// each to one run, so every process may do it. It also deletes answers to idempotency keys
// that are not given again any more, and what is old in the logs of webhook calls.
func Recover(ctx context.Context, s *store.Store, f *flow.Client, log *slog.Logger) {
	repeat(ctx, recoverEvery, func() {
		if err := recoverOnce(ctx, s, f); err != nil && ctx.Err() == nil {
			log.Warn("life-cycle workflows are started later", slog.Any("error", err))
		}
	})
}

// repeat does something at once and then at every interval until the context ends.
func repeat(ctx context.Context, every time.Duration, do func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func recoverOnce(ctx context.Context, s *store.Store, f *flow.Client) error {
	if err := s.ForgetAnswers(ctx, time.Now()); err != nil {
		return err
	}
	if _, err := s.ForgetWebhookDeliveries(ctx, time.Now().Add(-keepDeliveries), forgetTogether); err != nil {
		return err
	}
	provisioning, deletions, err := s.Stale(ctx, time.Now().Add(-recoverAfter))
	if err != nil {
		return err
	}
	for _, tenantID := range provisioning {
		if err := f.ProvisionTenant(telemetry.WithTenant(ctx, tenantID), tenantID); err != nil {
			return err
		}
	}
	for _, d := range deletions {
		ctx := telemetry.WithTenant(ctx, d.TenantID)
		runID, err := f.StartDeleteTenant(ctx, d.TenantID, d.ID)
		if err != nil {
			return err
		}
		if err := s.SetDeletionRun(ctx, d.ID, runID); err != nil {
			return err
		}
	}
	if err := recoverSuspensions(ctx, s, f); err != nil {
		return err
	}
	if err := recoverDomains(ctx, s, f); err != nil {
		return err
	}
	return recoverBulkSends(ctx, s, f)
}

// recoverSuspensions tells the workflows of suspensions that were changed, and not followed.
func recoverSuspensions(ctx context.Context, s *store.Store, f *flow.Client) error {
	tenants, err := s.Unfollowed(ctx, time.Now().Add(-recoverAfter))
	if err != nil {
		return err
	}
	for _, tenantID := range tenants {
		if err := f.FollowSuspension(telemetry.WithTenant(ctx, tenantID), tenantID); err != nil {
			return err
		}
	}
	return nil
}

// recoverBulkSends starts the workflows of uploads that have ended, and cancels uploads
// whose process is gone.
func recoverBulkSends(ctx context.Context, s *store.Store, f *flow.Client) error {
	stale, err := s.StaleBulkSends(ctx, time.Now().Add(-recoverAfter))
	if err != nil {
		return err
	}
	for _, b := range stale {
		ctx := telemetry.WithTenant(ctx, b.TenantID)
		runID, err := f.StartBulkSend(ctx, b.TenantID, b.ID, b.Class, b.Accepted)
		if err != nil {
			return err
		}
		if err := s.SetBulkSendRun(ctx, b.TenantID, b.ID, runID); err != nil {
			return err
		}
	}
	_, err = s.CancelStaleUploads(ctx, time.Now().Add(-store.UploadPatience), time.Now())
	return err
}
