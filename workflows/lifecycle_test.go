package workflows_test

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/workflows"
)

func TestProvisionTenant(t *testing.T) {
	t.Parallel()
	env, fake := newEnvironment(t), &fakeLifecycle{}
	env.RegisterActivity(fake)
	env.ExecuteWorkflow(workflows.ProvisionTenant, flow.ProvisionTenantInput{TenantID: "acme-corp"})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{"acme-corp"}, fake.activated)
}

func TestDeleteTenant_InOrder(t *testing.T) {
	t.Parallel()
	env, fake := newEnvironment(t), &fakeLifecycle{
		end:    func(call int) int { return map[int]int{0: 3, 2: 1}[call] }, // visibility shows one more late
		finish: func(call int) bool { return call == 2 },                    // something came in behind the first round
	}
	env.RegisterActivity(fake)
	env.ExecuteWorkflow(workflows.DeleteTenant, flow.DeleteTenantInput{TenantID: "acme-corp", DeletionID: id.New()})
	require.NoError(t, env.GetWorkflowError())
	var result flow.DeleteTenantResult
	require.NoError(t, env.GetWorkflowResult(&result))
	require.Equal(t, []int{3, 0, 1, 0, 0}, fake.ended, "two looks in a row find none")
	require.Equal(t, 4, result.Workflows)
	require.Equal(t, slices.Concat(activities.TenantTables, activities.TenantTables), fake.tables)
	require.EqualValues(t, 4, result.Rows["emails"])
}

// The wire name of a workflow is its function's name; flow has it as a constant.
func TestNames(t *testing.T) {
	t.Parallel()
	var names []string
	for _, queue := range []string{flow.SendQueue, flow.ControlQueue, flow.WebhookQueue} {
		for _, w := range workflows.All[queue] {
			full := runtime.FuncForPC(reflect.ValueOf(w).Pointer()).Name()
			names = append(names, full[strings.LastIndexByte(full, '.')+1:])
		}
	}
	require.Equal(t, []string{flow.SendEmails, flow.TenantQuota, flow.ProvisionTenant, flow.DeleteTenant, flow.BulkSend, flow.SuspendTenant, flow.DeliverWebhooks}, names)
}
