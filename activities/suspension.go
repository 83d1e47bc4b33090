package activities

import (
	"context"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// DrainTenantInput names the tenant.
type DrainTenantInput struct {
	TenantID string `json:"tenantId"`
}

// DrainTenantResult is where the tenant stands.
type DrainTenantResult struct {
	Status  string `json:"status"` // empty: there is no such tenant
	Left    int    `json:"left"`   // recipients, of one that is draining, that go out before it is suspended
	Version int64  `json:"version"`
}

// DrainTenant suspends a tenant that was to send first what was queued, once that is done.
func (l *Lifecycle) DrainTenant(ctx context.Context, in DrainTenantInput) (DrainTenantResult, error) {
	t, left, err := l.Store.DrainTenant(telemetry.WithTenant(ctx, in.TenantID), in.TenantID)
	if fault.KindOf(err) == fault.NotFound {
		return DrainTenantResult{}, nil
	}
	if err != nil {
		return DrainTenantResult{}, activityError(err)
	}
	return DrainTenantResult{Status: string(t.Status), Left: left, Version: t.Version}, nil
}

// WakeBulkSendsInput names the tenant.
type WakeBulkSendsInput struct {
	TenantID string `json:"tenantId"`
}

// WakeBulkSends has the bulk sends of a tenant go on.
func (l *Lifecycle) WakeBulkSends(ctx context.Context, in WakeBulkSendsInput) error {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	running, err := l.Store.RunningBulkSends(ctx, in.TenantID)
	if err != nil {
		return activityError(err)
	}
	for _, bulkSend := range running {
		if err := l.Flow.TellBulkSend(ctx, in.TenantID, bulkSend, flow.ResumeSignal); err != nil {
			return activityError(err)
		}
	}
	return nil
}

// FollowSuspensionInput names the tenant, and what of it was followed.
type FollowSuspensionInput struct {
	TenantID string `json:"tenantId"`
	Version  int64  `json:"version"` // of the tenant as it was looked at
}

// FollowSuspension notes that what follows from the tenant's suspension, or its end, is done.
func (l *Lifecycle) FollowSuspension(ctx context.Context, in FollowSuspensionInput) error {
	if err := l.Store.FollowSuspension(telemetry.WithTenant(ctx, in.TenantID), in.TenantID, in.Version); err != nil {
		return activityError(err)
	}
	return nil
}
