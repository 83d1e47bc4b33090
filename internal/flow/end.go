package flow

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// EndTenantWorkflows terminates every running workflow of a tenant but DeleteTenant, and
// says how many. What has just been started may not be visible yet: call it until it finds
// none. progress is told how many were ended so far.
func (c *Client) EndTenantWorkflows(ctx context.Context, tenantID string, progress func(int)) (ended int, err error) {
	query := fmt.Sprintf("%s = '%s' AND ExecutionStatus = 'Running' AND WorkflowType != '%s'",
		TenantID.GetName(), tenantID, DeleteTenant)
	var page []byte
	for {
		request := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 200, NextPageToken: page}
		list, err := c.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return ended, unavailable("list workflows", err)
		}
		for _, w := range list.GetExecutions() {
			err := c.temporal.TerminateWorkflow(ctx, w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId(), "the tenant is being deleted")
			if err != nil && !isNotFound(err) {
				return ended, unavailable("terminate workflow", err)
			}
			ended++
			progress(ended)
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			return ended, nil
		}
	}
}

// Temporal is the client underneath, for running workers on it.
func (c *Client) Temporal() client.Client { return c.temporal }
