package bench

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/testkit"
)

// Empty does nothing: what a workflow costs by itself.
func Empty(workflow.Context) error { return nil }

const empties = 1000

// emptyWorkflows is how many empty workflows a second are started eagerly and finished
// by as many callers as send emails.
func emptyWorkflows(b *testing.B, stack *testkit.Stack) float64 {
	b.Helper()
	c, err := client.Dial(client.Options{
		HostPort: stack.Temporal.Address, Namespace: flow.Namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(b, err)
	defer c.Close()
	w := worker.New(c, "bench", worker.Options{})
	w.RegisterWorkflow(Empty)
	require.NoError(b, w.Start())
	defer w.Stop()
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range callers {
		group.Go(func() {
			for n := next.Add(1); n <= empties; n = next.Add(1) {
				if err := runEmpty(b.Context(), c, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return empties / time.Since(began).Seconds()
}

func runEmpty(ctx context.Context, c client.Client, n int64) error {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "empty-" + strconv.FormatInt(n, 10), TaskQueue: "bench", EnableEagerStart: true,
	}, Empty)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}
