package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
)

// DeleteTenant removes everything of a tenant. It begins behind the fence: in one
// transaction before it, the tenant became deleting and its keys were revoked, so
// nothing new comes in.
//
//	end workflows (until none runs, twice) ──► delete rows, table by table, in chunks
//	      ──► verify that none is left ──► remove the tenant, finish the deletion's record
//
// There is no way back and no last error: each step is retried until it is done.
func DeleteTenant(ctx workflow.Context, in flow.DeleteTenantInput) (flow.DeleteTenantResult, error) {
	d := deleteTenant{in: in, result: flow.DeleteTenantResult{Rows: map[string]int64{}}}
	return d.run(ctx)
}

type deleteTenant struct {
	in     flow.DeleteTenantInput
	result flow.DeleteTenantResult
}

// settle is how long visibility may lag behind: workflows that were just started appear within it.
const settle = 2 * time.Second

func (d *deleteTenant) run(ctx workflow.Context) (flow.DeleteTenantResult, error) {
	if err := d.endWorkflows(ctx); err != nil {
		return d.result, err
	}
	for {
		if err := d.deleteRows(ctx); err != nil {
			return d.result, err
		}
		finished, err := d.finish(ctx)
		if err != nil || finished {
			return d.result, err
		}
	}
}

// endWorkflows ends the tenant's workflows until two looks in a row find none.
func (d *deleteTenant) endWorkflows(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, "Ending the tenant's workflows.")
	var lifecycle *activities.Lifecycle
	for clean := 0; clean < 2; {
		var ended activities.EndTenantWorkflowsResult
		if err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.EndTenantWorkflows,
			activities.EndTenantWorkflowsInput{TenantID: d.in.TenantID}).Get(ctx, &ended); err != nil {
			return err
		}
		d.result.Workflows += ended.Workflows
		clean++
		if ended.Workflows > 0 {
			clean = 0
		}
		if err := workflow.NewTimerWithOptions(ctx, settle, workflow.TimerOptions{Summary: "let visibility catch up"}).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// deleteRows empties the tables, children before parents.
func (d *deleteTenant) deleteRows(ctx workflow.Context) error {
	var lifecycle *activities.Lifecycle
	for _, table := range activities.TenantTables {
		workflow.SetCurrentDetails(ctx, "Deleting "+table+". Deleted so far: "+d.counts())
		var deleted activities.DeleteTenantRowsResult
		if err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.DeleteTenantRows, activities.DeleteTenantRowsInput{
			TenantID: d.in.TenantID, DeletionID: d.in.DeletionID, Table: table,
		}).Get(ctx, &deleted); err != nil {
			return err
		}
		for _, name := range workflow.DeterministicKeys(deleted.Rows) {
			d.result.Rows[name] += deleted.Rows[name]
		}
	}
	return nil
}

// finish verifies that nothing is left, and only then removes the tenant itself.
func (d *deleteTenant) finish(ctx workflow.Context) (bool, error) {
	var lifecycle *activities.Lifecycle
	var finished activities.FinishDeletionResult
	err := workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.FinishDeletion, activities.FinishDeletionInput{
		TenantID: d.in.TenantID, DeletionID: d.in.DeletionID,
	}).Get(ctx, &finished)
	if err == nil && finished.Finished {
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("Done. Deleted: %s; %d workflows ended.", d.counts(), d.result.Workflows))
	}
	return finished.Finished, err
}

func (d *deleteTenant) counts() string {
	parts := make([]string, 0, len(d.result.Rows))
	for _, table := range workflow.DeterministicKeys(d.result.Rows) {
		parts = append(parts, fmt.Sprintf("%d %s", d.result.Rows[table], strings.ReplaceAll(table, "_", " ")))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
