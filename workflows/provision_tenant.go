package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

// ProvisionTenant takes a new tenant from provisioning to active.
func ProvisionTenant(ctx workflow.Context, in flow.ProvisionTenantInput) error {
	var lifecycle *activities.Lifecycle
	if err := workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.ActivateTenant,
		activities.ActivateTenantInput{TenantID: in.TenantID}).Get(ctx, nil); err != nil {
		return err
	}
	workflow.SetCurrentDetails(ctx, "Tenant "+in.TenantID+" is active.")
	return nil
}
