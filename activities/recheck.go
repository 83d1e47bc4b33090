package activities

import (
	"context"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	recheckPage     = 200 // dispatches that are listed together
	recheckParallel = 8   // signals under way at the same time
)

// RecheckDispatchesInput names the tenant.
type RecheckDispatchesInput struct {
	TenantID string `json:"tenantId"`
}

// RecheckDispatches has all dispatches of a tenant that are under way look at their
// recipients now, oldest first.
func (l *Lifecycle) RecheckDispatches(ctx context.Context, in RecheckDispatchesInput) error {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	var after uuid.UUID
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &after); err != nil {
			return activityError(err)
		}
	}
	for {
		page, err := l.Store.ListOpenDispatches(ctx, in.TenantID, after, recheckPage)
		if err != nil {
			return activityError(err)
		}
		if len(page) == 0 {
			return nil
		}
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(recheckParallel)
		for _, dispatch := range page {
			group.Go(func() error { return l.Flow.Recheck(groupCtx, in.TenantID, dispatch) })
		}
		if err := group.Wait(); err != nil {
			return activityError(err)
		}
		after = page[len(page)-1]
		activity.RecordHeartbeat(ctx, after)
	}
}
