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
// transaction before it, the tenant became deleting, so nothing new comes in and nothing goes out.
//
//	wait for the end of the grace ──► restored: done
//	      │
//	      ▼ no return from here
//	end workflows (until none runs, twice) ──► count ──► delete rows, table by table, in chunks
//	      ──► end workflows that were begun meanwhile ──► verify that no row is left in any table
//	      ──► remove the tenant, write the receipt
//
// Whether the grace is over the row of the deletion says; the signal grace only ends a wait. After the grace there
// is no last error: each step is retried until it is done.
func DeleteTenant(ctx workflow.Context, in flow.DeleteTenantInput) (flow.DeleteTenantResult, error) {
	d := deleteTenant{
		in: in, result: flow.DeleteTenantResult{Rows: map[string]int64{}}, signals: workflow.GetSignalChannel(ctx, flow.GraceSignal),
	}
	return d.run(ctx)
}

type deleteTenant struct {
	in      flow.DeleteTenantInput
	result  flow.DeleteTenantResult
	signals workflow.ReceiveChannel
}

// settle is how long visibility may lag behind: workflows that were just started appear within it.
const settle = 2 * time.Second

func (d *deleteTenant) run(ctx workflow.Context) (flow.DeleteTenantResult, error) {
	if runs, err := d.awaitGrace(ctx); err != nil || !runs {
		return d.result, err
	}
	if err := d.endWorkflows(ctx); err != nil {
		return d.result, err
	}
	if _, err := d.count(ctx, "Counting what there is."); err != nil {
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

// awaitGrace waits until the grace is over. runs is false when there is nothing to delete: the tenant was restored, or
// another run has deleted it, and who has its id now is another tenant.
func (d *deleteTenant) awaitGrace(ctx workflow.Context) (runs bool, err error) {
	for {
		for d.signals.ReceiveAsync(nil) { // one look answers all that have come
		}
		grace, err := d.endGrace(ctx)
		if err != nil {
			return false, err
		}
		switch grace.Status {
		case "running":
			return true, nil
		case "scheduled":
			if err := d.wait(ctx, grace.EndsAt); err != nil {
				return false, err
			}
		default:
			d.result.Restored = grace.Status == "restored"
			workflow.SetCurrentDetails(ctx, "Done: there is nothing to delete, the deletion is "+grace.Status+".")
			return false, nil
		}
	}
}

func (d *deleteTenant) endGrace(ctx workflow.Context) (grace activities.EndGraceResult, err error) {
	var lifecycle *activities.Lifecycle
	err = workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.EndGrace, activities.EndGraceInput{
		TenantID: d.in.TenantID, DeletionID: d.in.DeletionID,
	}).Get(ctx, &grace)
	return grace, err
}

func (d *deleteTenant) wait(ctx workflow.Context, until time.Time) error {
	text := "Can be restored until " + until.UTC().Format(time.RFC3339)
	workflow.SetCurrentDetails(ctx, text+".")
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: max(until.Sub(workflow.Now(ctx)), 100*time.Millisecond), TimerOptions: workflow.TimerOptions{Summary: text},
	}, func() bool { return d.signals.Len() > 0 })
	return err
}

// endWorkflows ends the tenant's workflows until two looks in a row find none.
func (d *deleteTenant) endWorkflows(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, "Ending the tenant's workflows.")
	var lifecycle *activities.Lifecycle
	for clean := 0; clean < 2; {
		var ended activities.EndTenantWorkflowsResult
		if err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.EndTenantWorkflows,
			activities.EndTenantWorkflowsInput{TenantID: d.in.TenantID, DeletionID: d.in.DeletionID}).Get(ctx, &ended); err != nil {
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

// count says how many rows there are of the tenant, in all tables.
func (d *deleteTenant) count(ctx workflow.Context, details string) (int64, error) {
	workflow.SetCurrentDetails(ctx, details)
	var lifecycle *activities.Lifecycle
	var counted activities.CountDeletionResult
	err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.CountDeletion, activities.CountDeletionInput{
		TenantID: d.in.TenantID, DeletionID: d.in.DeletionID,
	}).Get(ctx, &counted)
	return counted.Rows, err
}

// finish verifies that nothing is left, and only then removes the tenant itself.
func (d *deleteTenant) finish(ctx workflow.Context) (bool, error) {
	if err := d.endWorkflows(ctx); err != nil {
		return false, err
	}
	left, err := d.count(ctx, "Verifying that nothing is left. Deleted: "+d.counts())
	if err != nil || left > 0 {
		return false, err
	}
	var lifecycle *activities.Lifecycle
	var finished activities.FinishDeletionResult
	err = workflow.ExecuteActivity(bookkeeping(ctx), lifecycle.FinishDeletion, activities.FinishDeletionInput{
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
