package workflows

import (
	"go.temporal.io/sdk/worker"

	"github.com/mailtura/mailtura/internal/flow"
)

// All are the workflows of each task queue.
var All = map[string][]any{
	flow.SendQueue:    {SendEmails},
	flow.ControlQueue: {TenantQuota, ProvisionTenant, DeleteTenant, BulkSend, SuspendTenant, WatchDomain},
	flow.WebhookQueue: {DeliverWebhooks},
}

// Register makes a queue's workflows known to its worker, under their Go names.
func Register(r worker.WorkflowRegistry, queue string) {
	for _, w := range All[queue] {
		r.RegisterWorkflow(w)
	}
}
