// Package worker is the runtime of the worker role: it puts workflows and activities on
// their task queues and stops them in order.
package worker

import (
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/workflows"
)

// Config of the workers of a process.
type Config struct {
	// Deliveries is how many Deliver activities run at the same time; 0 = 4: a few that overlap
	// keep every connection busy, and more would only stand in the way of others.
	Deliveries int
	// DrainTimeout is how long attempts that are under way may take when the process
	// stops; 0 = 20 s.
	DrainTimeout time.Duration
	Log          *slog.Logger
}

// Workers are the workers of a process, one for each task queue.
type Workers struct {
	workers []worker.Worker
}

// Start starts a worker on each task queue.
func Start(c client.Client, set activities.Set, cfg Config) (*Workers, error) {
	var w Workers
	for _, queue := range []string{flow.ControlQueue, flow.SendQueue, flow.WebhookQueue} {
		one := worker.New(c, queue, options(cfg, queue))
		workflows.Register(one, queue)
		set.Register(one, queue)
		if err := one.Start(); err != nil {
			w.Stop()
			return nil, fmt.Errorf("start worker of %s: %w", queue, err)
		}
		w.workers = append(w.workers, one)
	}
	return &w, nil
}

func options(cfg Config, queue string) worker.Options {
	o := worker.Options{
		WorkerStopTimeout:                20 * time.Second,
		DisableEagerActivities:           true, // eager activities would pass by the tenants' fair shares
		MaxConcurrentWorkflowTaskPollers: 4,
		MaxConcurrentActivityTaskPollers: 4,
		OnFatalError: func(err error) {
			cfg.Log.Error("worker stopped", slog.String("queue", queue), slog.Any("error", err))
		},
	}
	if cfg.DrainTimeout > 0 {
		o.WorkerStopTimeout = cfg.DrainTimeout
	}
	if queue == flow.ControlQueue {
		// How long a TenantQuota, and with it the tenant's permits, stands still when the process that has it in memory dies.
		o.StickyScheduleToStartTimeout = 2 * time.Second
	}
	if queue == flow.SendQueue {
		o.MaxConcurrentActivityExecutionSize = 4
		if cfg.Deliveries > 0 {
			o.MaxConcurrentActivityExecutionSize = cfg.Deliveries
		}
		o.MaxConcurrentLocalActivityExecutionSize = 64
	}
	if queue == flow.WebhookQueue {
		// A run takes ten seconds at the most where an endpoint hangs, and then lets it rest.
		o.MaxConcurrentActivityExecutionSize = 256
		o.MaxConcurrentWorkflowTaskPollers, o.MaxConcurrentActivityTaskPollers = 2, 2
	}
	return o
}

// Stop takes no new work, lets what is under way finish, and returns.
func (w *Workers) Stop() {
	for _, one := range w.workers {
		one.Stop()
	}
}
