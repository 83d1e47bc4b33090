package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
)

// Client starts and messages Mailtura's workflows.
type Client struct {
	temporal client.Client
	inline   *Inline // nil: no workers share the connection, so starts can not be eager
}

// NewClient wraps a Temporal client. With inline, workers of the same process use the same
// client and count there, which lets them run a dispatch within its start.
func NewClient(c client.Client, inline *Inline) *Client {
	return &Client{temporal: c, inline: inline}
}

// StartSendEmails starts the workflow of a dispatch and gives its run id. Starting it
// again changes nothing and gives the same run.
func (c *Client) StartSendEmails(ctx context.Context, d email.Dispatch) (runID string, err error) {
	inline := c.inline.fits(d.Emails)
	priority := temporal.Priority{PriorityKey: 2, FairnessKey: d.TenantID, FairnessWeight: d.Weight}
	if d.Class == email.Bulk {
		inline, priority.PriorityKey = false, 4
	}
	attributes := []temporal.SearchAttributeUpdate{TenantID.ValueSet(d.TenantID), SendClass.ValueSet(string(d.Class))}
	if d.BulkSendID != nil {
		attributes = append(attributes, BulkSendID.ValueSet(id.BulkSend.Format(*d.BulkSendID)))
	}
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       SendEmailsID(d.TenantID, d.ID),
		TaskQueue:                SendQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		EnableEagerStart:         inline,
		TypedSearchAttributes:    temporal.NewSearchAttributes(attributes...),
		StaticSummary:            fmt.Sprintf("%s of %s", plural(d.Emails, "email"), d.TenantID),
		Priority:                 priority,
	}, SendEmails, SendEmailsInput{TenantID: d.TenantID, DispatchID: d.ID, Emails: d.Emails, Inline: inline})
	if err != nil {
		return "", unavailable("start send", err)
	}
	return run.GetRunID(), nil
}

// Carries reports whether the workflow of a dispatch is running.
func (c *Client) Carries(ctx context.Context, d email.Dispatch) (bool, error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, SendEmailsID(d.TenantID, d.ID), "")
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, unavailable("describe send", err)
	}
	return described.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// Recheck has the workflow of a dispatch look at its recipients now, if it runs: some of
// them were cancelled or given to another dispatch.
func (c *Client) Recheck(ctx context.Context, tenantID string, dispatch uuid.UUID) error {
	err := c.temporal.SignalWorkflow(ctx, SendEmailsID(tenantID, dispatch), "", RecheckSignal, nil)
	if err == nil || isNotFound(err) {
		return nil
	}
	return unavailable("recheck", err)
}

// ProvisionTenant starts the workflow that sets a tenant up, and waits for it.
func (c *Client) ProvisionTenant(ctx context.Context, tenantID string) error {
	run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       ProvisionTenantID(tenantID),
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		EnableEagerStart:         c.inline != nil,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Set up tenant " + tenantID,
	}, ProvisionTenant, ProvisionTenantInput{TenantID: tenantID})
	if err != nil {
		return unavailable("start provisioning", err)
	}
	if err := run.Get(ctx, nil); err != nil {
		return fmt.Errorf("provision tenant: %w", err)
	}
	return nil
}

// Lease asks the tenant's TenantQuota for permits, and starts it when it does not run.
func (c *Client) Lease(ctx context.Context, tenantID string, in LeaseInput) (Lease, error) {
	options := client.UpdateWorkflowOptions{
		WorkflowID:   TenantQuotaID(tenantID),
		UpdateID:     in.RequestID,
		UpdateName:   LeaseUpdate,
		Args:         []any{in},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	handle, err := c.temporal.UpdateWorkflow(ctx, options)
	if isNotFound(err) {
		handle, err = c.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: c.startTenantQuota(tenantID, in),
			UpdateOptions:          options,
		})
	}
	if err != nil {
		return leaseRefusal(err)
	}
	var lease Lease
	if err := handle.Get(ctx, &lease); err != nil {
		return leaseRefusal(err)
	}
	return lease, nil
}

func (c *Client) startTenantQuota(tenantID string, in LeaseInput) client.WithStartWorkflowOperation {
	return c.temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID:                       TenantQuotaID(tenantID),
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Rate limit of " + tenantID,
		Priority:                 temporal.Priority{PriorityKey: 1},
	}, TenantQuota, TenantQuotaInput{TenantID: tenantID, Version: in.Version, Rate: in.Rate})
}

// leaseRefusal turns the validator's refusal into a lease without permits.
func leaseRefusal(err error) (Lease, error) {
	var refusal *temporal.ApplicationError
	if errors.As(err, &refusal) && refusal.Type() == NoPermits {
		var lease Lease
		if err := refusal.Details(&lease); err != nil {
			return Lease{}, fmt.Errorf("read lease refusal: %w", err)
		}
		return lease, nil
	}
	return Lease{}, unavailable("lease permits", err)
}

// SetLimits brings changed limits to the tenant's TenantQuota if it runs.
func (c *Client) SetLimits(ctx context.Context, tenantID string, in SetLimitsInput) error {
	err := c.temporal.SignalWorkflow(ctx, TenantQuotaID(tenantID), "", SetLimitsSignal, in)
	if err == nil || isNotFound(err) {
		return nil
	}
	return unavailable("set limits", err)
}

// Ready reports whether Temporal answers within the context's time.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := c.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return unavailable("check health", err)
	}
	return nil
}

func isNotFound(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}

func unavailable(operation string, err error) error {
	return fault.Wrap(fmt.Errorf("%s: %w", operation, err), fault.Unavailable, "temporal_unavailable", "The workflow engine is not available.")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
