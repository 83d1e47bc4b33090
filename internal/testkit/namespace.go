package testkit

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/mailtura/mailtura/internal/flow"
)

// prepareNamespace makes the namespace of an installation, and returns when all of Temporal
// knows it: its services each learn of a new one after a while.
func (s *Stack) prepareNamespace(ctx context.Context) error {
	c, err := client.DialContext(ctx, client.Options{
		HostPort: s.Temporal.Address, Namespace: s.Name, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := flow.Prepare(ctx, c, s.Name); err != nil {
		return err
	}
	for {
		err := probe(ctx, c)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("use namespace %s: %w", s.Name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// probe starts and ends a workflow that nobody runs, and asks for it by a search attribute.
func probe(ctx context.Context, c client.Client) error {
	if _, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: "TenantId IS NULL"}); err != nil {
		return err
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "probe", WorkflowExecutionTimeout: time.Minute}, "Probe")
	if err != nil {
		return err
	}
	return c.TerminateWorkflow(ctx, run.GetID(), run.GetRunID(), "known")
}
