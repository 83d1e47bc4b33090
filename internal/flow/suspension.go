package flow

import (
	"context"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// SuspendTenant is the workflow that goes with a tenant's suspension, from its beginning to its end.
const SuspendTenant = "SuspendTenant"

// SuspendTenantInput names the tenant.
type SuspendTenantInput struct {
	TenantID string `json:"tenantId"`
}

// SuspensionSignal has a SuspendTenant workflow look at the database without waiting further.
const SuspensionSignal = "suspension"

// SuspendTenantID is the id of the workflow that goes with a tenant's suspension.
func SuspendTenantID(tenantID string) string {
	return WorkflowID{Kind: "tenant", TenantID: tenantID, Entity: "suspend"}.String()
}

// FollowSuspension tells the SuspendTenant of a tenant that its suspension has changed, and starts it
// when it does not run: one that was resumed without it has mail that waits.
func (c *Client) FollowSuspension(ctx context.Context, tenantID string) error {
	_, err := c.temporal.SignalWithStartWorkflow(ctx, SuspendTenantID(tenantID), SuspensionSignal, nil, client.StartWorkflowOptions{
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Suspension of tenant " + tenantID,
		Priority:                 temporal.Priority{PriorityKey: 1},
	}, SuspendTenant, SuspendTenantInput{TenantID: tenantID})
	if err != nil {
		return unavailable("follow suspension", err)
	}
	return nil
}
