package workflows_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/mailtura/mailtura/activities"
)

func newEnvironment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	return suite.NewTestWorkflowEnvironment()
}

func decode(in *commonpb.Payloads, out ...any) error {
	return converter.GetDefaultDataConverter().FromPayloads(in, out...)
}

// fakeDelivery answers Deliver with what it was given, in order.
type fakeDelivery struct {
	mu      sync.Mutex
	answers []answer
	asked   []activities.DeliverInput
	told    func() // called with each request
}

type answer struct {
	result activities.DeliverResult
	err    error
}

func (f *fakeDelivery) Deliver(_ context.Context, in activities.DeliverInput) (activities.DeliverResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, in)
	if f.told != nil {
		f.told()
	}
	next := f.answers[0]
	f.answers = f.answers[1:]
	return next.result, next.err
}

// fakeLifecycle does what its functions do, and remembers the order.
type fakeLifecycle struct {
	activated []string
	end       func(call int) int
	ended     []int
	tables    []string
	grace     func(call int) activities.EndGraceResult // nil: there is none
	graces    int
	left      func(count int) int64 // nil: nothing
	counted   int
	finish    func(call int) bool
	finished  int
	rechecked []activities.RecheckDispatchesInput
	recheck   func() // what else a recheck does

	stands   func(look int) activities.DrainTenantResult
	looks    int
	woken    int
	followed []int64 // versions
}

func (f *fakeLifecycle) ActivateTenant(_ context.Context, in activities.ActivateTenantInput) error {
	f.activated = append(f.activated, in.TenantID)
	return nil
}

func (f *fakeLifecycle) EndTenantWorkflows(context.Context, activities.EndTenantWorkflowsInput) (activities.EndTenantWorkflowsResult, error) {
	n := f.end(len(f.ended))
	f.ended = append(f.ended, n)
	return activities.EndTenantWorkflowsResult{Workflows: n}, nil
}

func (f *fakeLifecycle) EndGrace(context.Context, activities.EndGraceInput) (activities.EndGraceResult, error) {
	f.graces++
	if f.grace == nil {
		return activities.EndGraceResult{Status: "running"}, nil
	}
	return f.grace(f.graces), nil
}

func (f *fakeLifecycle) CountDeletion(context.Context, activities.CountDeletionInput) (activities.CountDeletionResult, error) {
	f.counted++
	if f.counted == 1 || f.left == nil {
		return activities.CountDeletionResult{}, nil
	}
	return activities.CountDeletionResult{Rows: f.left(f.counted)}, nil
}

func (f *fakeLifecycle) DeleteTenantRows(_ context.Context, in activities.DeleteTenantRowsInput) (activities.DeleteTenantRowsResult, error) {
	f.tables = append(f.tables, in.Table)
	return activities.DeleteTenantRowsResult{Rows: map[string]int64{in.Table: 2}}, nil
}

func (f *fakeLifecycle) FinishDeletion(context.Context, activities.FinishDeletionInput) (activities.FinishDeletionResult, error) {
	f.finished++
	return activities.FinishDeletionResult{Finished: f.finish(f.finished)}, nil
}

func (f *fakeLifecycle) DrainTenant(context.Context, activities.DrainTenantInput) (activities.DrainTenantResult, error) {
	f.looks++
	return f.stands(f.looks), nil
}

func (f *fakeLifecycle) WakeBulkSends(context.Context, activities.WakeBulkSendsInput) error {
	f.woken++
	return nil
}

func (f *fakeLifecycle) FollowSuspension(_ context.Context, in activities.FollowSuspensionInput) error {
	f.followed = append(f.followed, in.Version)
	return nil
}

func (f *fakeLifecycle) RecheckDispatches(_ context.Context, in activities.RecheckDispatchesInput) error {
	f.rechecked = append(f.rechecked, in)
	if f.recheck != nil {
		f.recheck()
	}
	return nil
}
