package apiserver_test

import (
	"context"
	"sync"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// fakeTemporal starts nothing, and remembers what it was asked to. What the API does not
// use of a client it has not.
type fakeTemporal struct {
	client.Client
	// run is what a workflow does while its starter waits for it.
	run func(options client.StartWorkflowOptions) error
	// noQuota: the tenant has no TenantQuota that runs.
	noQuota bool

	mu      sync.Mutex
	started []client.StartWorkflowOptions
	signals []any
	sent    []string // workflow and name of each signal
}

func (f *fakeTemporal) ExecuteWorkflow(
	_ context.Context, options client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, options)
	return &fakeRun{run: f.run, options: options}, nil
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, workflowID, _, name string, arg any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signals = append(f.signals, arg)
	f.sent = append(f.sent, workflowID+" "+name)
	if f.noQuota {
		return serviceerror.NewNotFound("no such workflow")
	}
	return nil
}

// SignalWithStartWorkflow remembers the signal.
func (f *fakeTemporal) SignalWithStartWorkflow(
	_ context.Context, workflowID, name string, _ any, options client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, workflowID+" "+name)
	return &fakeRun{options: options}, nil
}

type fakeRun struct {
	client.WorkflowRun
	run     func(options client.StartWorkflowOptions) error
	options client.StartWorkflowOptions
}

func (r *fakeRun) GetRunID() string { return "run-of-" + r.options.ID }

func (r *fakeRun) Get(context.Context, any) error { return r.run(r.options) }
