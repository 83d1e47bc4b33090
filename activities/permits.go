package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

const (
	// lead is how long before the next slot it is asked for, so that none passes unused
	// while the request is on its way.
	lead = 500 * time.Millisecond
	// soon is how long an inline delivery waits for a slot, and inlineLease for a lease: it
	// holds up a workflow task, which must not take long.
	soon        = 50 * time.Millisecond
	inlineLease = 250 * time.Millisecond
)

// Lessor hands out permits, as a tenant's TenantQuota workflow does.
type Lessor interface {
	Lease(ctx context.Context, tenantID string, in flow.LeaseInput) (flow.Lease, error)
}

var _ Lessor = (*flow.Client)(nil)

// Permits keeps attempts within the tenants' rates. It asks the lessor for blocks of
// permits, one request at a time for a tenant, and shares a block among the deliveries
// of this process.
type Permits struct {
	lessor Lessor

	mu      sync.Mutex
	tenants map[string]*leaser
}

// NewPermits makes Permits that ask lessor.
func NewPermits(lessor Lessor) *Permits {
	return &Permits{lessor: lessor, tenants: map[string]*leaser{}}
}

// leaser is the permits of one tenant in this process.
type leaser struct {
	permits  *Permits
	tenantID string

	turn    chan struct{} // holds the turn to take permits, during which a lease may be asked for
	lease   flow.Lease
	spent   int              // slots of the lease that are taken
	toSpare bool             // the tenant had more permits at once than the lease took
	pending *flow.LeaseInput // a request whose answer was not waited for, or got lost
	demand  demand

	gateMu sync.Mutex
	gate   quota.Gate
}

// Grant is permits for a number of attempts.
type Grant struct {
	leaser  *leaser // nil: no rate limit
	tenant  tenant.Tenant
	inline  bool
	count   int
	retryAt time.Time

	mu    sync.Mutex
	slots []slot
}

// slot is when an attempt may start: not before at, not after until.
type slot struct {
	at, until time.Time
	rate      quota.Rate // under which it was given, which may be newer than the tenant that was loaded
}

// Count is for how many attempts there are permits.
func (g *Grant) Count() int { return g.count }

// RetryAt is when to ask for more.
func (g *Grant) RetryAt() time.Time { return g.retryAt.Add(-lead) }

// errNoPermit interrupts an inline delivery that would have to wait for another permit.
var errNoPermit = errors.New("no permit at once")

// Take gets up to want permits for a tenant without waiting for their slots. For an inline
// delivery it gets only those that can be used at once.
func (p *Permits) Take(ctx context.Context, t tenant.Tenant, want int, inline bool) (*Grant, error) {
	if t.Settings.Rate().IsZero() {
		return &Grant{count: want}, nil
	}
	if inline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, inlineLease)
		defer cancel()
	}
	l := p.leaser(t.ID)
	slots, retryAt, err := l.take(ctx, t, want, inline)
	if err != nil {
		return nil, err
	}
	return &Grant{leaser: l, tenant: t, inline: inline, count: len(slots), slots: slots, retryAt: retryAt}, nil
}

func (p *Permits) leaser(tenantID string) *leaser {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.tenants[tenantID]
	if l == nil {
		l = &leaser{permits: p, tenantID: tenantID, turn: make(chan struct{}, 1)}
		p.tenants[tenantID] = l
	}
	return l
}

// take gives slots of the present lease, and asks for another one where they do not suffice.
// It leaves slots that an inline delivery can not wait for to another delivery.
func (l *leaser) take(ctx context.Context, t tenant.Tenant, want int, inline bool) (slots []slot, retryAt time.Time, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	var within time.Duration
	if inline {
		within = soon
	}
	slots = l.spend(want, within)
	if left := l.lease.Slots.Count - l.spent; left > 0 { // enough, or not soon enough
		return slots, l.lease.Slots.At(l.spent), nil
	}
	if missing := want - len(slots); missing > 0 {
		if err := l.ask(ctx, t, missing, within); err != nil {
			return nil, time.Time{}, err
		}
		slots = append(slots, l.spend(missing, within)...)
	}
	return slots, l.lease.RetryAt, nil
}

// ask gets a lease. As long as the tenant has permits to spare, it is one for what is taken
// in about a second, so that many small deliveries do not each ask for their own. A request
// that had no answer is repeated first: permits that were given for it would be lost.
func (l *leaser) ask(ctx context.Context, t tenant.Tenant, missing int, within time.Duration) error {
	if l.toSpare {
		missing = max(missing, l.demand.perSecond(time.Now()))
	}
	if l.pending == nil {
		l.pending = &flow.LeaseInput{
			RequestID: uuid.NewString(), Want: missing, Within: within, Version: t.Version, Rate: t.Settings.Rate(),
		}
	}
	l.lease, l.spent, l.toSpare = flow.Lease{}, 0, false
	lease, err := l.permits.lessor.Lease(ctx, l.tenantID, *l.pending)
	if err != nil {
		return err
	}
	if lease.Rate.IsZero() { // answered by a workflow of an earlier release
		lease.Rate = l.pending.Rate
	}
	l.lease, l.pending, l.toSpare = lease, nil, !lease.RetryAt.After(time.Now())
	return nil
}

// spend takes slots of the lease that have not lapsed; only those that begin within some
// time, unless that is 0.
func (l *leaser) spend(want int, within time.Duration) (slots []slot) {
	now, s := time.Now(), l.lease.Slots
	for len(slots) < want && l.spent < s.Count {
		at := s.At(l.spent)
		if within > 0 && at.After(now.Add(within)) {
			break
		}
		l.spent++
		if until := at.Add(s.Slack); !now.After(until) {
			slots = append(slots, slot{at, until, l.lease.Rate})
		}
	}
	l.demand.add(len(slots), now)
	return slots
}

// Wait returns when the next attempt of the grant may start and has its turn at the
// transport. A slot that has lapsed because the process was late, or the turn came late, is
// replaced by another one.
func (g *Grant) Wait(ctx context.Context, t Turn) error {
	if g.leaser == nil {
		return t.wait(ctx)
	}
	for {
		s, ok := g.next()
		if !ok {
			if err := g.replace(ctx); err != nil {
				return err
			}
			continue
		}
		if err := sleepUntil(ctx, s.at); err != nil {
			return err
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
		if !time.Now().After(s.until) {
			if err := sleepUntil(ctx, g.leaser.admit(s.rate)); err != nil {
				t.turns.Done()
				return err
			}
			return nil
		}
		t.turns.Done()
	}
}

// admit passes an attempt through the gate of this process.
func (l *leaser) admit(r quota.Rate) time.Time {
	l.gateMu.Lock()
	defer l.gateMu.Unlock()
	return l.gate.Admit(r, time.Now())
}

func (g *Grant) next() (slot, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.slots) == 0 {
		return slot{}, false
	}
	s := g.slots[0]
	g.slots = g.slots[1:]
	return s, true
}

// replace gets one more slot, and waits for it if need be.
func (g *Grant) replace(ctx context.Context) error {
	slots, retryAt, err := g.leaser.take(ctx, g.tenant, 1, g.inline)
	if err != nil {
		return err
	}
	if len(slots) == 0 {
		if g.inline {
			return errNoPermit
		}
		return sleepUntil(ctx, retryAt.Add(-lead))
	}
	g.mu.Lock()
	g.slots = append(g.slots, slots...)
	g.mu.Unlock()
	return nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	pause := time.Until(at)
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
