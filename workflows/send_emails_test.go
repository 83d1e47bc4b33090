package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/workflows"
)

type sendBundle struct {
	env      *testsuite.TestWorkflowEnvironment
	delivery *fakeDelivery
	in       flow.SendEmailsInput
	start    time.Time
}

func newSend(t *testing.T, inline bool, answers ...answer) *sendBundle {
	t.Helper()
	b := &sendBundle{
		env: newEnvironment(t), delivery: &fakeDelivery{answers: answers},
		in:    flow.SendEmailsInput{TenantID: "acme-corp", DispatchID: id.New(), Emails: 1, Inline: inline},
		start: noon,
	}
	b.env.SetStartTime(b.start)
	b.env.RegisterActivity(b.delivery)
	return b
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func says(r activities.DeliverResult) answer { return answer{result: r} }

func (b *sendBundle) run(t *testing.T) flow.SendEmailsResult {
	t.Helper()
	b.env.ExecuteWorkflow(workflows.SendEmails, b.in)
	require.True(t, b.env.IsWorkflowCompleted())
	require.NoError(t, b.env.GetWorkflowError())
	var result flow.SendEmailsResult
	require.NoError(t, b.env.GetWorkflowResult(&result))
	return result
}

func TestSendEmails_AllAtOnce(t *testing.T) {
	t.Parallel()
	for _, inline := range []bool{true, false} {
		b := newSend(t, inline, says(activities.DeliverResult{Sent: 3, Bounced: 1}))
		require.Equal(t, flow.SendEmailsResult{Sent: 3, Bounced: 1}, b.run(t))
		require.Equal(t, []activities.DeliverInput{{TenantID: "acme-corp", DispatchID: b.in.DispatchID, Inline: inline}}, b.delivery.asked)
	}
}

func TestSendEmails_WaitsForWhatIsDeferred(t *testing.T) {
	t.Parallel()
	retry := noon.Add(15 * time.Minute)
	b := newSend(t, false,
		says(activities.DeliverResult{Sent: 1, Deferred: 1, NextAt: retry, Reason: activities.ReasonRetry}),
		says(activities.DeliverResult{Sent: 2}))
	var at []time.Time
	b.delivery.told = func() { at = append(at, b.env.Now()) }
	require.Equal(t, flow.SendEmailsResult{Sent: 2}, b.run(t))
	require.Len(t, at, 2)
	require.WithinDuration(t, retry, at[1], time.Second)
}

// A next attempt that is due already must not become a busy loop.
func TestSendEmails_NeverSpins(t *testing.T) {
	t.Parallel()
	due := says(activities.DeliverResult{Queued: 1, NextAt: noon.Add(-time.Hour), Reason: activities.ReasonRateLimit})
	b := newSend(t, false, due, due, due, due, due, says(activities.DeliverResult{Sent: 1}))
	b.run(t)
	require.GreaterOrEqual(t, b.env.Now().Sub(b.start), 500*time.Millisecond)
}

func TestSendEmails_InlineTroubleIsTakenOver(t *testing.T) {
	t.Parallel()
	b := newSend(t, true, answer{err: errors.New("database away")}, says(activities.DeliverResult{Sent: 1}))
	require.Equal(t, flow.SendEmailsResult{Sent: 1}, b.run(t))
	require.True(t, b.delivery.asked[0].Inline)
	require.False(t, b.delivery.asked[1].Inline)
}

// However long an outage lasts, mail goes on soon after it.
func TestSendEmails_IsNotLateAfterALongOutage(t *testing.T) {
	t.Parallel()
	var answers []answer
	for range 9 { // the environment gives up after ten
		answers = append(answers, answer{err: errors.New("database away")})
	}
	b := newSend(t, false, append(answers, says(activities.DeliverResult{Sent: 1}))...)
	last, longest := b.start, time.Duration(0)
	b.delivery.told = func() {
		longest, last = max(longest, b.env.Now().Sub(last)), b.env.Now()
	}
	b.run(t)
	require.LessOrEqual(t, longest, 10*time.Second)
	require.Greater(t, last.Sub(b.start), time.Minute, "and meanwhile nobody is kept busy by it")
}

func TestSendEmails_TroubleIsRetried(t *testing.T) {
	t.Parallel()
	away := answer{err: errors.New("database away")}
	b := newSend(t, false, away, away, away, says(activities.DeliverResult{Sent: 1}))
	require.Equal(t, flow.SendEmailsResult{Sent: 1}, b.run(t))
}

func TestSendEmails_EndsWithItsTenant(t *testing.T) {
	t.Parallel()
	b := newSend(t, false, says(activities.DeliverResult{TenantGone: true}))
	require.Equal(t, flow.SendEmailsResult{}, b.run(t))
}

func TestSendEmails_CancelEndsTheWait(t *testing.T) {
	t.Parallel()
	b := newSend(t, false, says(activities.DeliverResult{Deferred: 1, NextAt: noon.Add(time.Hour)}))
	b.env.RegisterDelayedCallback(b.env.CancelWorkflow, time.Minute)
	b.env.ExecuteWorkflow(workflows.SendEmails, b.in)
	require.Error(t, b.env.GetWorkflowError())
	require.WithinDuration(t, b.start.Add(time.Minute), b.env.Now(), time.Second)
}

// Two generations: the first continues as new when its history is long, and the second
// goes on with the same dispatch.
func TestSendEmails_ContinuesAsNew(t *testing.T) {
	t.Parallel()
	first := newSend(t, true, says(activities.DeliverResult{Deferred: 1, NextAt: noon.Add(time.Minute)}))
	first.env.SetContinueAsNewSuggested(true)
	first.env.ExecuteWorkflow(workflows.SendEmails, first.in)
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, first.env.GetWorkflowError(), &again)
	require.Equal(t, flow.SendEmails, again.WorkflowType.Name)

	second := newSend(t, false, says(activities.DeliverResult{Sent: 1}))
	require.NoError(t, decode(again.Input, &second.in))
	require.Equal(t, first.in.DispatchID, second.in.DispatchID)
	require.False(t, second.in.Inline, "only the first delivery is inline")
	require.Equal(t, flow.SendEmailsResult{Sent: 1}, second.run(t))
}

// recheckAt has a signal come at times after the start.
func (b *sendBundle) recheckAt(times ...time.Duration) {
	for _, at := range times {
		b.env.RegisterDelayedCallback(func() { b.env.SignalWorkflow(flow.RecheckSignal, nil) }, at)
	}
}

// deliveries gives when Deliver is asked, since the start.
func (b *sendBundle) deliveries() *[]time.Duration {
	var at []time.Duration
	b.delivery.told = func() { at = append(at, b.env.Now().Sub(b.start).Round(time.Second)) }
	return &at
}

func TestSendEmails_RecheckEndsTheWait(t *testing.T) {
	t.Parallel()
	b := newSend(t, false,
		says(activities.DeliverResult{Sent: 1, Deferred: 2, NextAt: noon.Add(8 * time.Hour)}),
		says(activities.DeliverResult{Sent: 1, Deferred: 1, Cancelled: 1, NextAt: noon.Add(8 * time.Hour)}),
		says(activities.DeliverResult{Sent: 2, Cancelled: 1}))
	at := b.deliveries()
	b.recheckAt(time.Minute)
	require.Equal(t, flow.SendEmailsResult{Sent: 2, Cancelled: 1}, b.run(t))
	require.Equal(t, []time.Duration{0, time.Minute, 8 * time.Hour}, *at, "once for the signal, and then as before")
}

// What comes while a delivery is under way may have come too late for it.
func TestSendEmails_RecheckDuringADelivery(t *testing.T) {
	t.Parallel()
	b := newSend(t, false,
		says(activities.DeliverResult{Deferred: 1, NextAt: noon.Add(time.Hour)}),
		says(activities.DeliverResult{Deferred: 1, NextAt: noon.Add(time.Hour)}),
		says(activities.DeliverResult{Sent: 1}))
	var at []time.Duration
	b.delivery.told = func() {
		if at = append(at, b.env.Now().Sub(b.start).Round(time.Minute)); len(at) == 1 {
			for range 3 {
				b.env.SignalWorkflow(flow.RecheckSignal, nil)
			}
		}
	}
	require.Equal(t, flow.SendEmailsResult{Sent: 1}, b.run(t))
	require.Equal(t, []time.Duration{0, 0, time.Hour}, at, "one look answers all three")
}

func TestSendEmails_CountsEveryEnd(t *testing.T) {
	t.Parallel()
	b := newSend(t, false, says(activities.DeliverResult{Sent: 1, Bounced: 2, Failed: 3, Cancelled: 4, Expired: 5, Unknown: 6}))
	require.Equal(t, flow.SendEmailsResult{Sent: 1, Bounced: 2, Failed: 3, Cancelled: 4, Expired: 5, Unknown: 6}, b.run(t))
}

// All of it was given to other dispatches.
func TestSendEmails_NothingLeft(t *testing.T) {
	t.Parallel()
	b := newSend(t, false, says(activities.DeliverResult{Deferred: 1, NextAt: noon.Add(8 * time.Hour)}), says(activities.DeliverResult{}))
	b.recheckAt(time.Minute)
	require.Equal(t, flow.SendEmailsResult{}, b.run(t))
	require.WithinDuration(t, noon.Add(time.Minute), b.env.Now(), time.Second)
}

// Two generations: a signal that ends the first one's wait is answered by the second.
func TestSendEmails_RecheckAcrossGenerations(t *testing.T) {
	t.Parallel()
	first := newSend(t, false, says(activities.DeliverResult{Deferred: 2, NextAt: noon.Add(8 * time.Hour)}))
	first.env.SetContinueAsNewSuggested(true)
	first.recheckAt(time.Minute)
	first.env.ExecuteWorkflow(workflows.SendEmails, first.in)
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, first.env.GetWorkflowError(), &again)
	require.WithinDuration(t, noon.Add(time.Minute), first.env.Now(), time.Second)

	second := newSend(t, false,
		says(activities.DeliverResult{Cancelled: 1, Deferred: 1, NextAt: noon.Add(8 * time.Hour)}), says(activities.DeliverResult{Cancelled: 2}))
	require.NoError(t, decode(again.Input, &second.in))
	require.Equal(t, first.in, second.in)
	at := second.deliveries()
	second.recheckAt(time.Hour)
	require.Equal(t, flow.SendEmailsResult{Cancelled: 2}, second.run(t))
	require.Equal(t, []time.Duration{0, time.Hour}, *at)
}

// A delivery that lets others have their turn comes back without a wait.
func TestSendEmails_GoesOnWhenTheTurnWasOver(t *testing.T) {
	t.Parallel()
	b := newSend(t, false,
		says(activities.DeliverResult{Queued: 500, NextAt: noon.Add(time.Hour), More: true}), says(activities.DeliverResult{Sent: 500}))
	at := b.deliveries()
	require.Equal(t, flow.SendEmailsResult{Sent: 500}, b.run(t))
	require.Equal(t, []time.Duration{0, 0}, *at)
}
