package activities

import (
	"context"
	"sync"
)

// Turns shares a number of places, such as connections to a mail server, fairly among
// tenants: however many hand-overs of one tenant wait, another's wait only for as many as
// its weight allows (stride scheduling, Waldspurger 1995).
type Turns struct {
	mu    sync.Mutex
	free  int
	pass  float64 // of the line that was served last
	lines map[string]*line
}

// line is the hand-overs of one tenant that wait.
type line struct {
	pass    float64 // the line with the least is next
	weight  float64
	waiting []chan struct{}
}

// NewTurns makes turns of so many places.
func NewTurns(places int) *Turns {
	return &Turns{free: places, lines: map[string]*line{}}
}

// Wait returns when the tenant has a place, which Done gives back.
func (t *Turns) Wait(ctx context.Context, tenantID string, weight float32) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	l := t.lines[tenantID]
	if l == nil {
		l = &line{pass: t.pass}
		t.lines[tenantID] = l
	}
	l.weight = float64(max(weight, 1))
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.leave(tenantID, turn)
		return ctx.Err()
	}
}

// Of is where the hand-overs of a tenant wait.
func (t *Turns) Of(tenantID string, weight float32) Turn { return Turn{t, tenantID, weight} }

// Turn is where a tenant waits for a place.
type Turn struct {
	turns    *Turns
	tenantID string
	weight   float32
}

func (t Turn) wait(ctx context.Context) error { return t.turns.Wait(ctx, t.tenantID, t.weight) }

// leave gives up waiting; a place that was given meanwhile is passed on.
func (t *Turns) leave(tenantID string, turn chan struct{}) {
	t.mu.Lock()
	if l := t.lines[tenantID]; l != nil {
		for i, waiting := range l.waiting {
			if waiting == turn {
				l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
				if len(l.waiting) == 0 {
					delete(t.lines, tenantID)
				}
				t.mu.Unlock()
				return
			}
		}
	}
	t.mu.Unlock()
	t.Done()
}

// Done gives a place back.
func (t *Turns) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var next *line
	var of string
	for tenantID, l := range t.lines { // as many as there are tenants with something to send
		if next == nil || l.pass < next.pass || (l.pass == next.pass && tenantID < of) {
			next, of = l, tenantID
		}
	}
	if next == nil {
		t.free++
		return
	}
	t.pass = next.pass
	next.pass += 1 / next.weight
	turn := next.waiting[0]
	if next.waiting = next.waiting[1:]; len(next.waiting) == 0 {
		delete(t.lines, of)
	}
	close(turn)
}
