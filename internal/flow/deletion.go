package flow

import (
	"context"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// GraceSignal has a DeleteTenant workflow that waits for the end of its grace look at the database: the tenant was
// restored, or the grace shortened.
const GraceSignal = "grace"

// StartDeleteTenant starts the workflow that deletes a tenant and gives its run id. While it runs, starting it again
// changes nothing; one that was ended by hand, or lost, is begun anew.
func (c *Client) StartDeleteTenant(ctx context.Context, tenantID string, deletion uuid.UUID) (runID string, err error) {
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       DeleteTenantID(tenantID, deletion),
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		EnableEagerStart:         c.inline != nil,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Delete tenant " + tenantID,
	}, DeleteTenant, DeleteTenantInput{TenantID: tenantID, DeletionID: deletion})
	if err != nil {
		return "", unavailable("start deletion", err)
	}
	return run.GetRunID(), nil
}

// TellDeletion has the workflow of a deletion look at its grace, if it runs.
func (c *Client) TellDeletion(ctx context.Context, tenantID string, deletion uuid.UUID) error {
	err := c.temporal.SignalWorkflow(ctx, DeleteTenantID(tenantID, deletion), "", GraceSignal, nil)
	if err == nil || isNotFound(err) {
		return nil
	}
	return unavailable("tell deletion", err)
}
