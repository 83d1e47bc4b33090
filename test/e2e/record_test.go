package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
)

// TestRecordHistories records histories of real runs, which workflows/replay_test.go
// replays from then on (./task replay:record). It checks the scenarios on every run, and
// writes where MAILTURA_RECORD says.
func TestRecordHistories(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(60)), Burst: ptr(int64(2))})
	record(t, "provision_tenant", flow.ProvisionTenantID(tenant))

	fast, free := shared.newTenant(t, mailtura.Settings{})
	inline := send(t, free, mailtura.SendEmail{To: to(address(t, "ada"), address(t, "bob+bounce")), Subject: ptr("Hi"), Text: ptr("Hi")})
	record(t, "send_emails_inline", awaitStatus(t, free, inline.Id, "bounced", 60*time.Second).Workflow.Id)
	retried := send(t, free, mailtura.SendEmail{To: to(address(t, "ada+defer-once")), Subject: ptr("Hi"), Text: ptr("Hi")})

	var paced string
	for range 6 {
		paced = send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")}).Id
	}
	record(t, "send_emails_paced", awaitStatus(t, c, paced, "sent", 60*time.Second).Workflow.Id)
	record(t, "tenant_quota_leases", flow.TenantQuotaID(tenant))
	patched, err := shared.client(t, shared.Key, "").UpdateTenantWithBodyWithResponse(t.Context(), tenant, nil, "application/json", reader(`{"settings":{"rateLimit":600}}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, patched.StatusCode())
	awaitStatus(t, c, send(t, c, mailtura.SendEmail{To: to(address(t, "eve")), Subject: ptr("Hi"), Text: ptr("Hi")}).Id, "sent", 60*time.Second)
	record(t, "tenant_quota_changed_limits", flow.TenantQuotaID(tenant))

	recordBulkSend(t, free)
	recordWebhook(t)
	recordDisabledWebhook(t)
	recordSuspension(t)
	recordDomain(t)
	record(t, "send_emails_retried", awaitStatus(t, free, retried.Id, "sent", 90*time.Second).Workflow.Id)
	recordDeletion(t, fast)
}

// recordDeletion records the deletion of a tenant that is restored, and one that follows its grace.
func recordDeletion(t *testing.T, tenant string) {
	t.Helper()
	workflowOf := func(d *mailtura.TenantDeletion) string {
		deletion, err := id.Deletion.Parse(d.Id)
		require.NoError(t, err)
		return flow.DeleteTenantID(tenant, deletion)
	}
	restored := workflowOf(shared.remove(t, tenant, "1h"))
	require.Equal(t, http.StatusOK, shared.restore(t, tenant).StatusCode())
	require.Eventually(t, func() bool { return ended(t, restored) }, 60*time.Second, 50*time.Millisecond)
	record(t, "delete_tenant_restored", restored)
	d := shared.remove(t, tenant, "1s")
	shared.awaitDeleted(t, d.Id, nil)
	require.Eventually(t, func() bool { return ended(t, workflowOf(d)) }, 60*time.Second, 50*time.Millisecond)
	record(t, "delete_tenant", workflowOf(d))
}

// recordBulkSend records a bulk send that is paused, goes on, and meets a full window.
func recordBulkSend(t *testing.T, c *mailtura.ClientWithResponses) {
	t.Helper()
	bulk := upload(t, c, lines("recorded.example.com", 3000))
	paused, err := c.PauseBulkSendWithResponse(t.Context(), bulk.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, paused.StatusCode(), string(paused.Body))
	resumed, err := c.ResumeBulkSendWithResponse(t.Context(), bulk.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resumed.StatusCode(), string(resumed.Body))
	require.Eventually(t, func() bool { return bulkSend(t, c, bulk.Id).Status == "completed" }, 60*time.Second, 100*time.Millisecond)
	workflowID := bulkSend(t, c, bulk.Id).Workflow.Id
	require.Eventually(t, func() bool { return ended(t, workflowID) }, 60*time.Second, 50*time.Millisecond)
	record(t, "bulk_send", workflowID)
}

// recordSuspension records one that drains, holds, and ends.
func recordSuspension(t *testing.T) {
	t.Helper()
	tenant, c := shared.newTenant(t, paced(20))
	backlog(t, c, "suspended.example.com", 30)
	shared.suspend(t, tenant, true)
	shared.awaitTenant(t, tenant, "suspended")
	shared.resume(t, tenant)
	require.Eventually(t, func() bool { return ended(t, flow.SuspendTenantID(tenant)) }, 60*time.Second, 50*time.Millisecond)
	record(t, "suspend_tenant", flow.SuspendTenantID(tenant))
}

// recordWebhook records a webhook that fails, is called again, and is gone at last.
func recordWebhook(t *testing.T) {
	t.Helper()
	tenant, c := shared.newTenant(t, mailtura.Settings{})
	endpoint := newEndpoint(t, func(number int) int { return []int{500, 200, 410}[min(number, 3)-1] })
	hook := endpoint.register(t, c, "email.accepted")
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	endpoint.await(t, 2)
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	endpoint.await(t, 3)
	webhookID, err := id.Webhook.Parse(hook.Id)
	require.NoError(t, err)
	workflowID := flow.DeliverWebhooksID(tenant, webhookID)
	require.Eventually(t, func() bool { return ended(t, workflowID) }, 60*time.Second, 50*time.Millisecond)
	record(t, "deliver_webhooks", workflowID)
}

// recordDisabledWebhook records one that is disabled while it waits to call again.
func recordDisabledWebhook(t *testing.T) {
	t.Helper()
	tenant, c := shared.newTenant(t, mailtura.Settings{})
	endpoint := newEndpoint(t, func(int) int { return 500 })
	hook := endpoint.register(t, c, "email.accepted")
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	require.Eventually(t, func() bool {
		log, err := c.ListWebhookDeliveriesWithResponse(t.Context(), hook.Id, nil)
		require.NoError(t, err)
		return len(log.JSON200.Items) == 1
	}, 20*time.Second, 20*time.Millisecond)
	disabled, err := c.UpdateWebhookWithBodyWithResponse(t.Context(), hook.Id, nil, "application/json", reader(`{"enabled":false}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, disabled.StatusCode(), string(disabled.Body))
	webhookID, err := id.Webhook.Parse(hook.Id)
	require.NoError(t, err)
	workflowID := flow.DeliverWebhooksID(tenant, webhookID)
	require.Eventually(t, func() bool { return ended(t, workflowID) }, 30*time.Second, 50*time.Millisecond)
	record(t, "deliver_webhooks_disabled", workflowID)
}

// ended reports whether a workflow runs no more.
func ended(t *testing.T, workflowID string) bool {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: shared.Temporal.Address, Namespace: shared.Name})
	require.NoError(t, err)
	defer c.Close()
	description, err := c.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	return description.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// record reads the history of a workflow as it is now.
func record(t *testing.T, name, workflowID string) {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: shared.Temporal.Address, Namespace: shared.Name})
	require.NoError(t, err)
	defer c.Close()
	var h history.History
	for events := c.GetWorkflowHistory(context.Background(), workflowID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, event)
	}
	require.Greater(t, len(h.GetEvents()), 3)
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	require.NoError(t, err)
	if dir := os.Getenv("MAILTURA_RECORD"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644))
	}
}

// recordDomain records a domain that is not verified at first, is then, has its keys rotated, and is deleted.
func recordDomain(t *testing.T) {
	t.Helper()
	_, c := shared.newTenant(t, mailtura.Settings{})
	name := newDomainName(t)
	d := addDomain(t, c, name)
	publish(t, d)
	verify(t, c, name)
	rotated, err := c.RotateDomainKeysWithResponse(t.Context(), name, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, rotated.StatusCode(), string(rotated.Body))
	removeDomain(t, c, name)
	require.Eventually(t, func() bool { return ended(t, d.Workflow.Id) }, 20*time.Second, 50*time.Millisecond)
	record(t, "watch_domain", d.Workflow.Id)
}
