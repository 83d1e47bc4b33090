package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
)

const (
	// leaseHorizon is how far ahead permits are handed out: long enough that a process asks
	// rarely, short enough that a changed limit is in effect within 2 s: by then the last of
	// them has lapsed (see quota.Rate.Slack).
	leaseHorizon = 1500 * time.Millisecond
	// quotaIdle is how long nobody asks before the workflow may end; the next request starts it again.
	quotaIdle = time.Hour
	// recentLeases is how many answers are kept for requests that are repeated.
	recentLeases = 50
)

// TenantQuota is the rate limit of one tenant: worker processes ask it for permits by the
// lease update, and it throttles their attempts by what it hands out (see package quota
// for why the limit holds). Because it is one workflow, there is one truth for any number
// of workers; because it hands out blocks, it is asked about once a second and process.
//
// When a limit is raised or lifted, dispatches that wait by the old one are told to look
// again. It continues as new when its history is long, and ends when nobody has asked for an
// hour and the bucket is full, which is how a new one begins.
func TenantQuota(ctx workflow.Context, in flow.TenantQuotaInput) error {
	q := tenantQuota{state: in}
	if err := q.setup(ctx); err != nil {
		return err
	}
	return q.run(ctx)
}

type tenantQuota struct {
	state      flow.TenantQuotaInput
	lastUsed   time.Time
	rechecking bool
}

func (q *tenantQuota) setup(ctx workflow.Context) error {
	q.lastUsed = workflow.Now(ctx)
	q.describe(ctx)
	if err := workflow.SetQueryHandler(ctx, flow.UsageQuery, func() (flow.TenantQuotaInput, error) {
		return q.state, nil
	}); err != nil {
		return fmt.Errorf("set query handler: %w", err)
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, flow.LeaseUpdate, q.lease, workflow.UpdateHandlerOptions{
		Validator:   q.validateLease,
		Description: "Hand out permits for attempts",
	}); err != nil {
		return fmt.Errorf("set update handler: %w", err)
	}
	workflow.GoNamed(ctx, "limits", q.receiveLimits)
	workflow.GoNamed(ctx, "recheck", q.recheck)
	return nil
}

// run waits until the workflow is idle or its history is long.
func (q *tenantQuota) run(ctx workflow.Context) error {
	for {
		moved, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout:      q.idleAt().Sub(workflow.Now(ctx)),
			TimerOptions: workflow.TimerOptions{Summary: "idle"},
		}, func() bool { return q.shouldContinue(ctx) })
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if moved {
			return q.continueAsNew(ctx)
		}
		if !workflow.Now(ctx).Before(q.idleAt()) && q.settled(ctx) && !q.state.Raised {
			return nil
		}
	}
}

// idleAt is when the workflow may end unless somebody asks for permits.
func (q *tenantQuota) idleAt() time.Time {
	idle, full := q.lastUsed.Add(quotaIdle), q.state.Bucket.Next
	if full.After(idle) {
		return full
	}
	return idle
}

// settled reports whether nothing is under way that would be lost with this run.
func (q *tenantQuota) settled(ctx workflow.Context) bool {
	return workflow.AllHandlersFinished(ctx) && !q.rechecking
}

func (q *tenantQuota) shouldContinue(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && q.settled(ctx)
}

func (q *tenantQuota) continueAsNew(ctx workflow.Context) error {
	channel := workflow.GetSignalChannel(ctx, flow.SetLimitsSignal)
	var in flow.SetLimitsInput
	for channel.ReceiveAsync(&in) {
		q.adopt(workflow.Now(ctx), in.Version, in.Rate)
	}
	q.state.Generation++
	return workflow.NewContinueAsNewError(ctx, TenantQuota, q.state)
}

// validateLease refuses, without a trace in the history, what could get nothing.
func (q *tenantQuota) validateLease(ctx workflow.Context, in flow.LeaseInput) error {
	if in.RequestID == "" || in.Want <= 0 || in.Rate.IsZero() {
		return temporal.NewNonRetryableApplicationError("a lease needs a request id, a number of permits and a rate", "invalid_lease", nil)
	}
	if q.find(in.RequestID) != nil || in.Version > q.state.Version {
		return nil
	}
	now := workflow.Now(ctx)
	if opens := q.state.Bucket.Opens(q.state.Rate); opens.After(now.Add(horizonOf(in))) {
		return temporal.NewApplicationError("no permits", flow.NoPermits, flow.Lease{RequestID: in.RequestID, RetryAt: opens})
	}
	return nil
}

// horizonOf is how far ahead permits of a lease reach.
func horizonOf(in flow.LeaseInput) time.Duration {
	if in.Within > 0 {
		return min(in.Within, leaseHorizon)
	}
	return leaseHorizon
}

// lease hands out permits; a request that is repeated gets the answer that it got.
func (q *tenantQuota) lease(ctx workflow.Context, in flow.LeaseInput) (flow.Lease, error) {
	if given := q.find(in.RequestID); given != nil {
		return *given, nil
	}
	now := workflow.Now(ctx)
	q.lastUsed = now
	q.adopt(now, in.Version, in.Rate)
	lease := flow.Lease{
		RequestID: in.RequestID,
		Rate:      q.state.Rate,
		Slots:     q.state.Bucket.Grant(q.state.Rate, now, in.Want, horizonOf(in)),
		RetryAt:   q.state.Bucket.Opens(q.state.Rate),
	}
	q.state.Granted += int64(lease.Slots.Count)
	q.remember(lease)
	q.describe(ctx)
	return lease, nil
}

func (q *tenantQuota) find(requestID string) *flow.Lease {
	for i := range q.state.Recent {
		if q.state.Recent[i].RequestID == requestID {
			return &q.state.Recent[i]
		}
	}
	return nil
}

func (q *tenantQuota) remember(lease flow.Lease) {
	q.state.Recent = append(q.state.Recent, lease)
	if extra := len(q.state.Recent) - recentLeases; extra > 0 {
		q.state.Recent = append([]flow.Lease(nil), q.state.Recent[extra:]...)
	}
}

func (q *tenantQuota) receiveLimits(ctx workflow.Context) {
	channel := workflow.GetSignalChannel(ctx, flow.SetLimitsSignal)
	for {
		var in flow.SetLimitsInput
		channel.Receive(ctx, &in)
		q.adopt(workflow.Now(ctx), in.Version, in.Rate)
		q.describe(ctx)
	}
}

// adopt takes over newer limits. The rate that was before a limit was lifted is kept:
// nobody asks for permits any more, and the workflow ends by itself.
func (q *tenantQuota) adopt(now time.Time, version int64, rate quota.Rate) {
	if version <= q.state.Version {
		return
	}
	q.state.Version = version
	if rate.IsZero() {
		q.state.Raised = true
		return
	}
	if rate != q.state.Rate {
		q.state.Raised = q.state.Raised || rate.Above(q.state.Rate)
		q.state.Bucket.Adopt(q.state.Rate, rate, now)
		q.state.Rate = rate
	}
}

// recheck has dispatches look again that wait by a limit that was raised: their timers,
// which may be an hour long at a slow rate, know only the old one.
func (q *tenantQuota) recheck(ctx workflow.Context) {
	var lifecycle *activities.Lifecycle
	for {
		if err := workflow.Await(ctx, func() bool { return q.state.Raised }); err != nil {
			return
		}
		q.state.Raised, q.rechecking = false, true
		in := activities.RecheckDispatchesInput{TenantID: q.state.TenantID}
		if err := workflow.ExecuteActivity(sweeping(ctx), lifecycle.RecheckDispatches, in).Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("dispatches find the raised limit by themselves", "error", err)
		}
		q.rechecking = false
	}
}

func (q *tenantQuota) describe(ctx workflow.Context) {
	r := q.state.Rate
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d recipients per %s, burst %d. %d permits handed out. Next one: %s.",
		r.Count, r.Per, r.Burst, q.state.Granted, q.state.Bucket.Opens(r).UTC().Format(time.RFC3339Nano)))
}
