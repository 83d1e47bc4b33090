package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

func TestActivateTenant(t *testing.T) {
	t.Parallel()
	s := testkit.Store(t)
	_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: acme, Domain: "acme.com"})
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: s}
	for range 2 { // a retry changes nothing
		_, err := newActivityEnvironment(t, l).ExecuteActivity(l.ActivateTenant, activities.ActivateTenantInput{TenantID: acme})
		require.NoError(t, err)
		now, err := s.Tenant(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, tenant.Active, now.Status)
	}
}

func TestActivateTenant_LeavesADeletionAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	_, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store}
	_, err = newActivityEnvironment(t, l).ExecuteActivity(l.ActivateTenant, activities.ActivateTenantInput{TenantID: acme})
	require.NoError(t, err)
	now, err := b.Store.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, tenant.Deleting, now.Status)
}

// deleteRows runs DeleteTenantRows as the retry of an attempt that had got so far.
func deleteRows(t *testing.T, l *activities.Lifecycle, in activities.DeleteTenantRowsInput, before int64) (rows int64, err error) {
	t.Helper()
	env := newActivityEnvironment(t, l)
	if before > 0 {
		env.SetHeartbeatDetails(activities.DeleteTenantRowsResult{Rows: map[string]int64{in.Table: before}})
	}
	value, err := env.ExecuteActivity(l.DeleteTenantRows, in)
	if err != nil {
		return 0, err
	}
	var result activities.DeleteTenantRowsResult
	require.NoError(t, value.Get(&result))
	return result.Rows[in.Table], nil
}

func TestDeleteTenantRows(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	const rows = 4500 // three chunks
	b.exec(`INSERT INTO daily_usage (tenant_id, day, reserved) SELECT $1, date '2000-01-01' + n, 1 FROM generate_series(1, $2) n`, acme, rows)
	b.exec(`INSERT INTO tenants SELECT (json_populate_record(t, '{"id":"other"}')).* FROM tenants t WHERE id = $1`, acme)
	b.exec(`INSERT INTO daily_usage (tenant_id, day, reserved) VALUES ('other', '2000-01-01', 1)`)
	deletion, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store}
	in := activities.DeleteTenantRowsInput{TenantID: acme, DeletionID: deletion.ID, Table: "daily_usage"}

	deleted, err := deleteRows(t, l, in, 300)
	require.NoError(t, err)
	require.Equal(t, int64(rows+300), deleted, "what the attempt before had counted, and the rest")
	record, err := b.Store.Deletion(t.Context(), deletion.ID)
	require.NoError(t, err)
	require.Equal(t, int64(rows), record.Rows["daily_usage"])

	deleted, err = deleteRows(t, l, in, 0)
	require.NoError(t, err)
	require.Zero(t, deleted)
	in.TenantID = "other"
	deleted, err = deleteRows(t, l, in, 0)
	require.NoError(t, err)
	require.Equal(t, int64(1), deleted, "another tenant's row was still there")

	in.Table = "tenants"
	_, err = deleteRows(t, l, in, 0)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "unknown_table", failure.Type())
}

func TestFinishDeletion(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	_, err := b.Store.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "k", Key: apikey.New(apikey.Tenant)})
	require.NoError(t, err)
	b.deliver(b.dispatch(newEmail("ada@example.com", "x+bounce@example.com")))
	deletion, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store}
	require.False(t, finish(t, l, deletion.ID), "rows are left")

	for _, table := range activities.TenantTables {
		_, err := deleteRows(t, l, activities.DeleteTenantRowsInput{TenantID: acme, DeletionID: deletion.ID, Table: table}, 0)
		require.NoError(t, err, table)
	}
	for range 2 { // a retry changes nothing
		require.True(t, finish(t, l, deletion.ID))
	}
	record, err := b.Store.Deletion(t.Context(), deletion.ID)
	require.NoError(t, err)
	require.Equal(t, store.DeletionCompleted, record.Status)
	require.Equal(t, int64(2), record.Rows["recipients"])
	require.Equal(t, int64(2), record.Rows["attempts"])
	_, err = b.Store.Tenant(t.Context(), acme)
	require.Error(t, err)
}

func finish(t *testing.T, l *activities.Lifecycle, deletion uuid.UUID) bool {
	t.Helper()
	value, err := newActivityEnvironment(t, l).ExecuteActivity(l.FinishDeletion,
		activities.FinishDeletionInput{TenantID: acme, DeletionID: deletion})
	require.NoError(t, err)
	var result activities.FinishDeletionResult
	require.NoError(t, value.Get(&result))
	return result.Finished
}

// awayTemporal can not be asked for workflows.
type awayTemporal struct{ client.Client }

func (awayTemporal) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return nil, serviceerror.NewUnavailable("away")
}

func TestEndTenantWorkflows_TemporalAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	deletion, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store, Flow: flow.NewClient(awayTemporal{}, nil)}
	in := activities.EndTenantWorkflowsInput{TenantID: acme, DeletionID: deletion.ID}
	_, err = newActivityEnvironment(t, l).ExecuteActivity(l.EndTenantWorkflows, in)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "temporal_unavailable", failure.Type())
	require.False(t, failure.NonRetryable())

	finished, err := b.Store.FinishDeletion(t.Context(), acme, deletion.ID)
	require.NoError(t, err)
	require.True(t, finished)
	_, err = newActivityEnvironment(t, l).ExecuteActivity(l.EndTenantWorkflows, in)
	require.NoError(t, err, "nobody is asked: the workflows are those of the next tenant of the id")
}

func TestEndGrace(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	grace := time.Hour
	deletion, err := b.Store.BeginDeletion(t.Context(), acme, &grace)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store}
	look := func(deletionID uuid.UUID) (result activities.EndGraceResult, err error) {
		value, err := newActivityEnvironment(t, l).ExecuteActivity(l.EndGrace, activities.EndGraceInput{TenantID: acme, DeletionID: deletionID})
		if err != nil {
			return result, err
		}
		return result, value.Get(&result)
	}
	result, err := look(deletion.ID)
	require.NoError(t, err)
	require.Equal(t, "scheduled", result.Status)
	require.WithinDuration(t, *deletion.GraceEndsAt, result.EndsAt, 0)
	b.exec(`UPDATE tenant_deletions SET grace_ends_at = now()`)
	for range 2 { // a retry changes nothing
		result, err = look(deletion.ID)
		require.NoError(t, err)
		require.Equal(t, activities.EndGraceResult{Status: "running"}, result)
	}
	_, err = look(id.New())
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.True(t, failure.NonRetryable())
}

// What goes with the tenant itself does not count: a worker makes it anew.
func TestCountDeletion(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.dispatch(newEmail("ada@example.com", "bob@example.com"))
	b.exec(`INSERT INTO tenant_outcomes (tenant_id, day, sent, bounced) VALUES ($1, now(), 1, 0)`, acme)
	deletion, err := b.Store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	l := &activities.Lifecycle{Store: b.Store}
	in := activities.CountDeletionInput{TenantID: acme, DeletionID: deletion.ID}
	value, err := newActivityEnvironment(t, l).ExecuteActivity(l.CountDeletion, in)
	require.NoError(t, err)
	var result activities.CountDeletionResult
	require.NoError(t, value.Get(&result))
	d, err := b.Store.Deletion(t.Context(), deletion.ID)
	require.NoError(t, err)
	all := int64(-1) // the outcome
	for _, n := range d.Totals {
		all += n
	}
	require.Equal(t, all, result.Rows)
	require.EqualValues(t, 2, d.Totals["recipients"])
	require.Contains(t, d.Totals, "attempts")
}
