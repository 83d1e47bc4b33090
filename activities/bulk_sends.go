package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// BulkSends has the activities of bulk sends.
type BulkSends struct {
	Store   *store.Store
	Starter intake.Starter
	Log     *slog.Logger
}

// TakeChunkInput names the bulk send.
type TakeChunkInput struct {
	TenantID   string    `json:"tenantId"`
	BulkSendID uuid.UUID `json:"bulkSendId"`
	Window     int       `json:"window"` // of recipients that are queued or being sent, from which on nothing is taken
}

// TakeChunkResult is what was taken, and where the bulk send stands.
type TakeChunkResult struct {
	Status string    `json:"status"`
	Taken  int       `json:"taken"` // lines; 0: the window is full, nothing is due, or it does not run
	Open   int       `json:"open"`  // recipients that were queued or being sent before
	Left   int       `json:"left"`  // lines that are not taken
	NextAt time.Time `json:"nextAt"`

	Suspended bool `json:"suspended,omitempty"` // the tenant is, so nothing was taken
}

// TakeChunk makes a dispatch of the next chunk of a bulk send, and starts its workflow. A
// start that fails is left to the sweep of dispatches: the chunk is taken, once and for all.
func (b *BulkSends) TakeChunk(ctx context.Context, in TakeChunkInput) (TakeChunkResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	step, err := b.Store.TakeChunk(ctx, in.TenantID, in.BulkSendID, in.Window, time.Now())
	if err != nil {
		return TakeChunkResult{}, activityError(err)
	}
	result := TakeChunkResult{Status: string(step.Status), Open: step.Open, Left: step.Left, NextAt: step.NextAt, Suspended: step.Stopped}
	if step.Dispatch == nil {
		return result, nil
	}
	result.Taken = step.Dispatch.Emails
	runID, err := b.Starter.StartSendEmails(ctx, *step.Dispatch)
	if err == nil {
		err = b.Store.SetDispatchRun(ctx, in.TenantID, step.Dispatch.ID, runID)
	}
	if err != nil {
		b.Log.WarnContext(ctx, "dispatch is left to the next sweep", slog.Any("error", err))
	}
	return result, nil
}
