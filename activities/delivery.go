// Package activities is the half of Mailtura with effects: it reads and writes the
// database, renders, and hands mail over. An answer to a mail, also a refusal, is a result;
// only trouble of our own (no database, no Temporal) is an error, which Temporal retries.
package activities

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

const (
	chunk          = 100             // recipients that are loaded and claimed together
	parallel       = 16              // hand-overs of one chunk at the same time
	heartbeatEvery = 5 * time.Second // a third of the heartbeat timeout
	maxTurn        = 2 * time.Second // after which a delivery lets others have its slot
)

// Transport hands one message to the next mail server.
type Transport interface {
	Send(ctx context.Context, env smtpout.Envelope, msg []byte) smtpout.Attempt
	// ReadyAt is when a message can be tried; not after now when one can be at once.
	ReadyAt() time.Time
}

var _ Transport = (*smtpout.Relays)(nil)

// Delivery has the activity that sends.
type Delivery struct {
	Store     *store.Store
	Templates *template.Engine
	Signers   *Signers   // give the keys that messages are signed with
	Tracking  track.Keys // that links and pictures are signed with
	Transport Transport
	Permits   *Permits
	Turns     *Turns       // at the transport
	Fence     *Fence       // stops what is under way of a suspended tenant; nil: nothing does
	Inline    *flow.Inline // counts deliveries inside workflow tasks; nil: there are none
	Log       *slog.Logger
}

// DeliverInput names the dispatch to work on. Inline says that Deliver runs inside a
// workflow task: it must not wait for permits, and does what it can at once.
type DeliverInput struct {
	TenantID   string    `json:"tenantId"`
	DispatchID uuid.UUID `json:"dispatchId"`
	Inline     bool      `json:"inline"`
}

// Reasons why something of a dispatch is still open.
const (
	ReasonRetry     = "another attempt"
	ReasonRateLimit = "the rate limit"
	ReasonTransport = "a mail server"
	ReasonSuspended = "the end of the tenant's suspension"
)

// DeliverResult counts the recipients of the dispatch by where they stand.
type DeliverResult struct {
	Sent       int       `json:"sent"`
	Bounced    int       `json:"bounced"`
	Failed     int       `json:"failed"`
	Cancelled  int       `json:"cancelled"`
	Expired    int       `json:"expired"`
	Unknown    int       `json:"unknown"`
	Deferred   int       `json:"deferred"`
	Queued     int       `json:"queued"`
	NextAt     time.Time `json:"nextAt"` // when to deliver again, if anything is open
	Reason     string    `json:"reason,omitempty"`
	TenantGone bool      `json:"tenantGone,omitempty"`
	More       bool      `json:"more,omitempty"` // something can be delivered at once: only the turn was over
}

// Open is how many recipients have no final status.
func (r DeliverResult) Open() int { return r.Deferred + r.Queued }

// Deliver makes one attempt for every recipient of a dispatch whose turn it is and for
// whom there is a permit. Each attempt is in the database before its hand-over, so that
// none is forgotten; one that was cut off is settled as the tenant chose. It returns
// when nothing more can be done now, and says when something can.
func (d *Delivery) Deliver(ctx context.Context, in DeliverInput) (DeliverResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	if in.Inline && d.Inline != nil {
		defer d.Inline.Begin()()
	}
	defer heartbeat(ctx)()
	t, err := d.Store.Tenant(ctx, in.TenantID)
	if fault.KindOf(err) == fault.NotFound {
		return DeliverResult{TenantGone: true}, nil
	}
	if err == nil && t.Status == tenant.Deleting { // in its grace the mail waits: the tenant may be restored
		var waits bool
		if waits, err = d.Store.InGrace(ctx, t.ID); err == nil && !waits {
			return DeliverResult{TenantGone: true}, nil
		}
	}
	if err != nil {
		return DeliverResult{}, activityError(err)
	}
	run := delivery{Delivery: d, in: in, tenant: t}
	work := run.deliver
	if !tenant.GoesOut(t.Status) {
		work = run.rest
	}
	if err := work(ctx); err != nil {
		return DeliverResult{}, activityError(err)
	}
	return run.result(ctx)
}

// delivery is one run of Deliver.
type delivery struct {
	*Delivery
	in      DeliverInput
	tenant  tenant.Tenant
	blocked time.Time // nothing can be done before this
	reason  string    // why
	more    bool      // the turn was over before the work was

	suspended time.Time // nothing goes out, and when to look again; zero: it does
}

func (r *delivery) deliver(ctx context.Context) error {
	for began := time.Now(); !stopping(ctx); {
		if r.more = time.Since(began) > maxTurn; r.more {
			return nil
		}
		if at := r.Transport.ReadyAt(); at.After(time.Now()) {
			r.blocked, r.reason = at, ReasonTransport
			return nil
		}
		due, err := r.Store.ListDue(ctx, r.in.TenantID, r.in.DispatchID, time.Now(), chunk)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return nil
		}
		if due, err = r.settle(ctx, due); err != nil {
			return err
		}
		if len(due) == 0 { // the whole chunk is settled: look for more
			continue
		}
		permits, err := r.Permits.Take(ctx, r.tenant, len(due), r.in.Inline)
		if err != nil {
			return err
		}
		err = r.send(ctx, due[:permits.Count()], permits)
		if errors.Is(err, errSuspended) {
			r.suspended = time.Now().Add(stoppedLook)
			return nil
		}
		if err != nil {
			return err
		}
		if permits.Count() < len(due) && !r.morePermits(permits) {
			return nil
		}
	}
	return nil
}

// morePermits reports, where there were not enough, whether the time for more has come
// meanwhile. To wait for them is left to a delivery that is not inline.
func (r *delivery) morePermits(permits *Grant) bool {
	switch {
	case permits.RetryAt().After(time.Now()), permits.Count() == 0 && !r.in.Inline:
		r.blocked, r.reason = permits.RetryAt(), ReasonRateLimit
		return false
	case r.in.Inline:
		r.more = true
		return false
	}
	return true
}

// stopping reports whether the worker is about to stop: what is under way is finished,
// and nothing new begun.
func stopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}

// settle gives recipients whose attempt was cut off the status that the tenant chose, ends
// those whose email has expired, and leaves those that are to be sent.
func (r *delivery) settle(ctx context.Context, due []store.Due) ([]store.Due, error) {
	now := time.Now().Truncate(time.Microsecond) // as the database keeps it
	hold := r.tenant.Settings.OnUnknownOutcome == tenant.Hold
	var cut, expired []uuid.UUID
	var send []store.Due
	for _, recipient := range due {
		if recipient.CutOff {
			cut = append(cut, recipient.RecipientID)
			recipient.Seen = now
		}
		switch {
		case recipient.CutOff && hold:
		case recipient.Expired:
			expired = append(expired, recipient.RecipientID)
		default:
			send = append(send, recipient)
		}
	}
	if len(cut) > 0 {
		r.Log.WarnContext(ctx, "attempts were cut off", slog.Int("recipients", len(cut)), slog.Bool("held", hold))
		status := email.Queued
		if hold {
			status = email.Unknown
		}
		if err := r.Store.SettleCutOff(ctx, r.in.TenantID, cut, status, now); err != nil {
			return nil, err
		}
	}
	if len(expired) > 0 {
		if err := r.Store.ExpireRecipients(ctx, r.in.TenantID, expired, now); err != nil {
			return nil, err
		}
	}
	return send, nil
}

func (r *delivery) result(ctx context.Context) (DeliverResult, error) {
	p, err := r.Store.Progress(ctx, r.in.TenantID, r.in.DispatchID, time.Now())
	if err != nil {
		return DeliverResult{}, activityError(err)
	}
	result := DeliverResult{
		Sent: p.Sent, Bounced: p.Bounced, Failed: p.Failed, Cancelled: p.Cancelled, Expired: p.Expired, Unknown: p.Unknown,
		Deferred: p.Deferred, Queued: p.Queued,
		NextAt: p.NextAttemptAt, Reason: ReasonRetry, More: r.more && p.Queued > 0,
	}
	if p.Queued > 0 {
		at := r.blocked
		if at.IsZero() { // put back by this run, or in the hands of another
			at, r.reason = time.Now().Add(time.Second), ReasonRetry
		}
		if result.NextAt.IsZero() || at.Before(result.NextAt) {
			result.NextAt, result.Reason = at, r.reason
		}
	}
	if !r.suspended.IsZero() {
		result.NextAt, result.Reason = r.suspended, ReasonSuspended
	}
	return result, nil
}

// heartbeat tells Temporal that the activity is alive until the result is called.
func heartbeat(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				activity.RecordHeartbeat(ctx)
			case <-done:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { close(done) }
}

// activityError gives an error the type under which Temporal shows it: its code. What is
// wrong with the request itself is not worth another try.
func activityError(err error) error {
	if kind := fault.KindOf(err); kind == fault.Invalid || kind == fault.NotFound {
		return temporal.NewNonRetryableApplicationError("activity failed", fault.CodeOf(err), err)
	}
	return temporal.NewApplicationErrorWithOptions("activity failed", fault.CodeOf(err), temporal.ApplicationErrorOptions{Cause: err})
}

// jitter is a random number in [0,1).
func jitter() float64 { return rand.Float64() } //nolint:gosec // spreads retries, guards nothing
