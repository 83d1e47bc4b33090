package activities

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	// deleteChunk is how many rows one transaction deletes: short locks, little to repeat.
	deleteChunk = 2000
	// deleteShare is how many times as long as a chunk has taken the next one is waited for: most of the time is for who sends.
	deleteShare = 3
)

// TenantTables are the tables that DeleteTenantRows knows, in the order to empty them.
var TenantTables = store.TenantTables

// Lifecycle has the activities of a tenant's life.
type Lifecycle struct {
	Store *store.Store
	Flow  *flow.Client
}

// ActivateTenantInput names the tenant.
type ActivateTenantInput struct {
	TenantID string `json:"tenantId"`
}

// ActivateTenant takes a tenant from provisioning to active.
func (l *Lifecycle) ActivateTenant(ctx context.Context, in ActivateTenantInput) error {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	if err := l.Store.ActivateTenant(ctx, in.TenantID); err != nil {
		return activityError(err)
	}
	return nil
}

// EndTenantWorkflowsInput names the tenant and its deletion.
type EndTenantWorkflowsInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
}

// EndTenantWorkflowsResult says how many workflows were ended.
type EndTenantWorkflowsResult struct {
	Workflows int `json:"workflows"`
}

// EndTenantWorkflows terminates the tenant's workflows, but for the one that deletes it.
func (l *Lifecycle) EndTenantWorkflows(ctx context.Context, in EndTenantWorkflowsInput) (EndTenantWorkflowsResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	d, err := l.Store.Deletion(ctx, in.DeletionID)
	if err != nil {
		return EndTenantWorkflowsResult{}, activityError(err)
	}
	if d.Status != store.DeletionRunning { // an attempt that was forgotten: the workflows are another tenant's
		return EndTenantWorkflowsResult{}, nil
	}
	ended, err := l.Flow.EndTenantWorkflows(ctx, in.TenantID, func(n int) { activity.RecordHeartbeat(ctx, n) })
	if err != nil {
		return EndTenantWorkflowsResult{}, activityError(err)
	}
	return EndTenantWorkflowsResult{Workflows: ended}, nil
}

// EndGraceInput names the tenant and its deletion.
type EndGraceInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
}

// EndGraceResult says where the deletion stands.
type EndGraceResult struct {
	Status string    `json:"status"`
	EndsAt time.Time `json:"endsAt"` // of the grace while the deletion is scheduled
}

// EndGrace starts the deletion if its grace is over. Whether it is, and whether the tenant was restored, only the
// deletion's row says.
func (l *Lifecycle) EndGrace(ctx context.Context, in EndGraceInput) (EndGraceResult, error) {
	d, err := l.Store.EndGrace(telemetry.WithTenant(ctx, in.TenantID), in.DeletionID)
	if err != nil {
		return EndGraceResult{}, activityError(err)
	}
	result := EndGraceResult{Status: string(d.Status)}
	if d.Status == store.DeletionScheduled {
		result.EndsAt = *d.GraceEndsAt
	}
	return result, nil
}

// CountDeletionInput names the tenant and its deletion.
type CountDeletionInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
}

// CountDeletionResult counts the rows that there are.
type CountDeletionResult struct {
	Rows int64 `json:"rows"` // in all tables together
}

// CountDeletion counts what there is of the tenant in every table. The first count is what progress is shown against.
func (l *Lifecycle) CountDeletion(ctx context.Context, in CountDeletionInput) (CountDeletionResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	defer heartbeat(ctx)()
	counts, err := l.Store.CountDeletion(ctx, in.TenantID, in.DeletionID)
	if err != nil {
		return CountDeletionResult{}, activityError(err)
	}
	var result CountDeletionResult
	for table, n := range counts {
		if !slices.Contains(store.GoWithTenant, table) {
			result.Rows += n
		}
	}
	return result, nil
}

// DeleteTenantRowsInput names a table of a tenant.
type DeleteTenantRowsInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
	Table      string    `json:"table"`
}

// DeleteTenantRowsResult counts the rows that were deleted.
type DeleteTenantRowsResult struct {
	Rows map[string]int64 `json:"rows"` // by table
}

// DeleteTenantRows empties one table of a tenant, with what belongs to its rows, in chunks. The count on the deletion's
// record moves with each chunk; the heartbeat keeps it for a retry.
func (l *Lifecycle) DeleteTenantRows(ctx context.Context, in DeleteTenantRowsInput) (DeleteTenantRowsResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	result := DeleteTenantRowsResult{Rows: map[string]int64{}}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &result); err != nil {
			return result, activityError(err)
		}
	}
	for {
		began := time.Now()
		deleted, err := l.Store.DeleteTenantRows(ctx, in.TenantID, in.DeletionID, in.Table, deleteChunk)
		if err != nil {
			return result, activityError(err)
		}
		if len(deleted) == 0 {
			return result, nil
		}
		for table, n := range deleted {
			result.Rows[table] += n
		}
		activity.RecordHeartbeat(ctx, result)
		if err := pause(ctx, deleteShare*time.Since(began)); err != nil {
			return result, activityError(err)
		}
	}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// FinishDeletionInput names the tenant and its deletion.
type FinishDeletionInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
}

// FinishDeletionResult says whether nothing was left.
type FinishDeletionResult struct {
	Finished bool `json:"finished"`
}

// FinishDeletion removes the tenant itself once nothing else of it is left.
func (l *Lifecycle) FinishDeletion(ctx context.Context, in FinishDeletionInput) (FinishDeletionResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	finished, err := l.Store.FinishDeletion(ctx, in.TenantID, in.DeletionID)
	if err != nil {
		return FinishDeletionResult{}, activityError(err)
	}
	return FinishDeletionResult{Finished: finished}, nil
}
