package flow

import (
	"context"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/id"
)

// WebhookQueue is the task queue of webhooks: endpoints are slow at times, and nothing waits behind them.
const WebhookQueue = "mailtura-webhook"

// DeliverWebhooks is the workflow of a webhook.
const DeliverWebhooks = "DeliverWebhooks"

// DeliverWebhooksInput is the whole state of a DeliverWebhooks workflow; a run passes it on
// when it continues as new.
type DeliverWebhooksInput struct {
	TenantID   string    `json:"tenantId"`
	WebhookID  uuid.UUID `json:"webhookId"`
	Delivered  int       `json:"delivered"`  // calls that were good
	Failed     int       `json:"failed"`     // calls that were not
	Generation int       `json:"generation"` // runs before this one
}

// WakeSignal has a DeliverWebhooks workflow look at the database without waiting further.
const WakeSignal = "wake"

// StandingQuery gives the DeliverWebhooksInput of a DeliverWebhooks as it stands.
const StandingQuery = "standing"

// DeliverWebhooksID is the id of the workflow of a webhook.
func DeliverWebhooksID(tenantID string, webhook uuid.UUID) string {
	return WorkflowID{Kind: "webhook", TenantID: tenantID, Entity: id.Webhook.Format(webhook)}.String()
}

// WakeWebhook tells the workflow of a webhook that there is something to do, and starts it
// when it does not run.
func (c *Client) WakeWebhook(ctx context.Context, tenantID string, webhook uuid.UUID) error {
	_, err := c.temporal.SignalWithStartWorkflow(ctx, DeliverWebhooksID(tenantID, webhook), WakeSignal, nil, client.StartWorkflowOptions{
		TaskQueue:                WebhookQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Webhook of " + tenantID,
		Priority:                 temporal.Priority{PriorityKey: 3, FairnessKey: tenantID},
	}, DeliverWebhooks, DeliverWebhooksInput{TenantID: tenantID, WebhookID: webhook})
	if err != nil {
		return unavailable("wake webhook", err)
	}
	return nil
}
