package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	maxDispatch  = 500                   // emails in one dispatch
	maxPending   = 200_000               // emails remembered for dispatch; Sweep finds what is beyond
	startTimeout = 10 * time.Second      // of one start
	rest         = 20 * time.Millisecond // between the dispatches of a tenant, so that one of many emails is not started as many of one
	pauseOnFault = 2 * time.Second       // while Temporal is away emails gather, and one dispatch carries many
)

// Dispatcher turns accepted emails into dispatches and starts their workflows.
type Dispatcher struct {
	ledger  Ledger
	starter Workflows
	log     *slog.Logger

	mu      sync.Mutex
	changed *sync.Cond
	queues  map[queueKey]*tenantQueue
	resting map[queueKey]bool
	order   []*tenantQueue // those that do not rest, by how long they have waited, longest first
	pending int
	closed  bool
	slots   sync.WaitGroup
	stop    chan struct{}
}

// queueKey is what emails of one dispatch have in common.
type queueKey struct {
	tenantID string
	class    email.Class
}

// tenantQueue is what one tenant has pending of a class. It is in Dispatcher.order exactly
// while it has something and does not rest.
type tenantQueue struct {
	queueKey
	weight      float32
	traceParent string // of the first
	emails      []uuid.UUID
}

// NewDispatcher starts a dispatcher with so many start slots.
func NewDispatcher(ledger Ledger, starter Workflows, slots int, log *slog.Logger) *Dispatcher {
	d := &Dispatcher{
		ledger: ledger, starter: starter, log: log,
		queues: map[queueKey]*tenantQueue{}, resting: map[queueKey]bool{}, stop: make(chan struct{}),
	}
	d.changed = sync.NewCond(&d.mu)
	for range slots {
		d.slots.Go(d.run)
	}
	return d
}

// Add has emails dispatched as soon as a slot is free.
func (d *Dispatcher) Add(emails []Pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range emails {
		if d.pending >= maxPending {
			return
		}
		key := queueKey{e.TenantID, e.Class}
		q := d.queues[key]
		if q == nil {
			q = &tenantQueue{queueKey: key, weight: e.Weight, traceParent: e.TraceParent}
			d.queues[key] = q
			if !d.resting[key] {
				d.lineUp(q)
			}
		}
		q.emails = append(q.emails, e.EmailID)
		d.pending++
	}
}

// lineUp has a slot take a queue.
func (d *Dispatcher) lineUp(q *tenantQueue) {
	d.order = append(d.order, q)
	d.changed.Signal()
}

// restNow leaves what comes for a queue that was emptied to its next dispatch, which is
// larger then. A lone email never waits for that.
func (d *Dispatcher) restNow(key queueKey) {
	d.resting[key] = true
	time.AfterFunc(rest, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.resting, key)
		if q := d.queues[key]; q != nil {
			d.lineUp(q)
		}
	})
}

// waitsFor reports whether there is something pending here that has this in common.
func (d *Dispatcher) waitsFor(key queueKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queues[key] != nil
}

// Close lets starts that are under way finish. What is still pending is left to a sweep.
func (d *Dispatcher) Close() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.stop)
	}
	d.changed.Broadcast()
	d.mu.Unlock()
	d.slots.Wait()
}

func (d *Dispatcher) run() {
	for {
		q, ok := d.take()
		if !ok {
			return
		}
		if err := d.dispatch(q); err != nil {
			d.log.Warn("dispatch is made later", slog.String(telemetry.TenantID, q.tenantID), slog.Any("error", err))
			if fault.KindOf(err) == fault.Unavailable {
				d.pause()
			}
		}
	}
}

func (d *Dispatcher) pause() {
	select {
	case <-time.After(pauseOnFault):
	case <-d.stop:
	}
}

// take waits for the tenant that has waited longest and takes what it has pending.
func (d *Dispatcher) take() (tenantQueue, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.order) == 0 && !d.closed {
		d.changed.Wait()
	}
	if d.closed {
		return tenantQueue{}, false
	}
	q := d.order[0]
	d.order = d.order[1:]
	taken := *q
	n := min(len(q.emails), maxDispatch)
	taken.emails, q.emails = q.emails[:n:n], q.emails[n:]
	d.pending -= n
	if len(q.emails) == 0 {
		delete(d.queues, q.queueKey)
		d.restNow(q.queueKey)
	} else {
		q.traceParent = ""
		d.lineUp(q) // another slot may be idle
	}
	return taken, true
}

// dispatch claims the emails and starts their workflow. The claim is in the database
// before the start, so an email is in one dispatch only, whatever happens in between.
func (d *Dispatcher) dispatch(q tenantQueue) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ctx, span := startSpan(ctx, q)
	defer func() {
		if err != nil {
			span.RecordError(err)
		}
		span.End()
	}()
	dispatch := id.New()
	claimed, err := d.ledger.ClaimDispatch(ctx, q.tenantID, q.class, dispatch, q.emails)
	if fault.KindOf(err) == fault.Unavailable {
		d.putBack(q)
	}
	if err != nil || claimed == 0 {
		return err
	}
	span.SetAttributes(attribute.String(telemetry.DispatchID, id.Dispatch.Format(dispatch)), attribute.Int(telemetry.DispatchSize, claimed))
	return d.start(ctx, email.Dispatch{TenantID: q.tenantID, ID: dispatch, Class: q.class, Weight: q.weight, Emails: claimed})
}

// putBack has emails that could not be claimed dispatched later, without waiting for a sweep.
// Those that were claimed all the same are in that dispatch, which the sweep starts.
func (d *Dispatcher) putBack(q tenantQueue) {
	back := make([]Pending, len(q.emails))
	for i, emailID := range q.emails {
		back[i] = Pending{TenantID: q.tenantID, EmailID: emailID, Class: q.class, Weight: q.weight, TraceParent: q.traceParent}
	}
	d.Add(back)
}

func (d *Dispatcher) start(ctx context.Context, s email.Dispatch) error {
	runID, err := d.starter.StartSendEmails(ctx, s)
	if err != nil {
		return err
	}
	return d.ledger.SetDispatchRun(ctx, s.TenantID, s.ID, runID)
}

func startSpan(ctx context.Context, q tenantQueue) (context.Context, trace.Span) {
	ctx = telemetry.WithTenant(telemetry.WithTraceParent(ctx, q.traceParent), q.tenantID)
	return otel.Tracer("mailtura/intake").Start(ctx, "dispatch")
}
