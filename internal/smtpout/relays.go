package smtpout

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

const (
	tripAfter    = 3                // failures in a row to get to a server
	firstPause   = 5 * time.Second  // before the next try then
	longestPause = 60 * time.Second // the pause doubles up to this
)

// Relays sends over the first of several relays that can be got to. To a relay that could
// not be got to a few times in a row nothing is sent for a while, and then one message to
// see. It is safe for concurrent use.
type Relays struct{ relays []*guarded }

// NewRelays makes relays of which earlier ones are preferred. There must be one.
func NewRelays(relays ...*Relay) *Relays {
	r := &Relays{}
	for _, one := range relays {
		r.relays = append(r.relays, &guarded{relay: one, now: time.Now})
	}
	return r
}

// Close closes all connections; it waits for messages that are under way.
func (r *Relays) Close() {
	for _, g := range r.relays {
		g.relay.Close()
	}
}

// MaxConns is how many messages can be under way at the same time.
func (r *Relays) MaxConns() (n int) {
	for _, g := range r.relays {
		n = max(n, g.relay.cfg.MaxConns)
	}
	return n
}

// ReadyAt is when the next message can be tried; not after now when it can be at once.
func (r *Relays) ReadyAt() time.Time {
	var first time.Time
	for i, g := range r.relays {
		if at := g.readyAt(); i == 0 || at.Before(first) {
			first = at
		}
	}
	return first
}

// Send hands a message to a relay and reports what happened. Another relay is tried only
// when it is certain that the message was not even offered to the one before it. When none
// can be tried now, the attempt is NotTried.
func (r *Relays) Send(ctx context.Context, env Envelope, msg []byte) Attempt {
	down := Attempt{Phase: outcome.Connect, NotAccepted: true, NotTried: true, Started: time.Now(), Err: errDown}
	for _, g := range r.relays {
		if !g.enter() {
			continue
		}
		a := g.relay.Send(ctx, env, msg)
		reached := !a.NotAccepted || !before(a.Phase)
		g.leave(reached, ctx.Err() != nil)
		if reached || ctx.Err() != nil {
			return a
		}
		down = a
	}
	return down
}

var errDown = errors.New("no mail server can be reached")

// before reports whether a phase is before a message is offered.
func before(p outcome.Phase) bool {
	switch p {
	case outcome.Connect, outcome.TLS, outcome.Ehlo, outcome.Auth:
		return true
	case outcome.Mail, outcome.Rcpt, outcome.Data, outcome.Body, outcome.Quit:
	}
	return false
}

// guarded is a relay with a circuit breaker.
type guarded struct {
	relay *Relay
	now   func() time.Time

	mu       sync.Mutex
	failures int // in a row
	pause    time.Duration
	closedAt time.Time // until then nothing is sent
	probing  bool      // one message is under way to see
}

func (g *guarded) readyAt() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.probing {
		return g.now().Add(time.Second)
	}
	return g.closedAt
}

// enter reports whether a message may be tried.
func (g *guarded) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures < tripAfter {
		return true
	}
	if g.probing || g.now().Before(g.closedAt) {
		return false
	}
	g.probing = true
	return true
}

// leave notes whether the server was reached; an attempt that was given up tells nothing.
func (g *guarded) leave(reached, givenUp bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	switch {
	case reached:
		g.failures, g.pause, g.closedAt = 0, 0, time.Time{}
	case givenUp:
	default:
		if g.failures++; g.failures < tripAfter || g.now().Before(g.closedAt) {
			return // one that was under way when it was closed
		}
		g.pause = min(max(2*g.pause, firstPause), longestPause)
		g.closedAt = g.now().Add(g.pause)
	}
}
