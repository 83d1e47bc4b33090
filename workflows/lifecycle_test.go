package workflows_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/flow"
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
	require.Equal(t, []string{flow.SendEmails, flow.TenantQuota, flow.ProvisionTenant, flow.DeleteTenant, flow.BulkSend, flow.SuspendTenant, flow.WatchDomain, flow.DeliverWebhooks}, names)
}
