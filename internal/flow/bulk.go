package flow

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
)

// BulkSendInput is the whole state of a BulkSend workflow; a run passes it on when it
// continues as new.
type BulkSendInput struct {
	TenantID   string    `json:"tenantId"`
	BulkSendID uuid.UUID `json:"bulkSendId"`
	Lines      int       `json:"lines"`
	Queued     int       `json:"queued"`     // lines that are emails
	Dispatches int       `json:"dispatches"` // that carry them
	Generation int       `json:"generation"` // runs before this one
}

// Signals of BulkSend. The database says where a bulk send stands; a signal has the
// workflow look there without waiting further.
const (
	PauseSignal  = "pause"
	ResumeSignal = "resume"
	CancelSignal = "cancel"
)

// ProgressQuery gives the BulkSendInput of a BulkSend as it stands.
const ProgressQuery = "progress"

// BulkSendResult says how a bulk send ended.
type BulkSendResult struct {
	Status     string `json:"status"` // "completed" or "cancelled"
	Queued     int    `json:"queued"`
	Dispatches int    `json:"dispatches"`
}

// StartBulkSend starts the workflow of a bulk send and gives its run id. Starting it again
// changes nothing and gives the same run.
func (c *Client) StartBulkSend(
	ctx context.Context, tenantID string, bulkSend uuid.UUID, class email.Class, lines int,
) (runID string, err error) {
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       BulkSendWorkflowID(tenantID, bulkSend),
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			TenantID.ValueSet(tenantID), SendClass.ValueSet(string(class)), BulkSendID.ValueSet(id.BulkSend.Format(bulkSend))),
		StaticSummary: fmt.Sprintf("Bulk send of %s, %s", tenantID, plural(lines, "line")),
		Priority:      temporal.Priority{PriorityKey: 4, FairnessKey: tenantID},
	}, BulkSend, BulkSendInput{TenantID: tenantID, BulkSendID: bulkSend, Lines: lines})
	if err != nil {
		return "", unavailable("start bulk send", err)
	}
	return run.GetRunID(), nil
}

// TellBulkSend signals the workflow of a bulk send, if it runs, that its state was changed.
func (c *Client) TellBulkSend(ctx context.Context, tenantID string, bulkSend uuid.UUID, signal string) error {
	err := c.temporal.SignalWorkflow(ctx, BulkSendWorkflowID(tenantID, bulkSend), "", signal, nil)
	if err == nil || isNotFound(err) {
		return nil
	}
	return unavailable("tell bulk send", err)
}
