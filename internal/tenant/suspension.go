package tenant

import "time"

// Suspender is on whose behalf a tenant is suspended.
type Suspender string

// Who suspends. Each has a flag of its own, and a tenant sends only when neither is set.
const (
	Operator  Suspender = "operator"
	Guardrail Suspender = "guardrail" // bounces or complaints were too many
)

// Suspenders are all of them.
var Suspenders = []Suspender{Operator, Guardrail}

// Suspension is why a tenant does not send. Its JSON is {} for one that does.
type Suspension struct {
	Operator  *Flag `json:"operator,omitempty"`
	Guardrail *Flag `json:"guardrail,omitempty"`
}

// Flag is what one suspender has said.
type Flag struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Drain  bool      `json:"drain"` // what was queued before goes out first
}

// Of is the flag of a suspender; nil: it is not set.
func (s Suspension) Of(by Suspender) *Flag { return *s.of(by) }

// of is where the flag of a suspender is.
func (s *Suspension) of(by Suspender) **Flag {
	if by == Guardrail {
		return &s.Guardrail
	}
	return &s.Operator
}

// Any reports whether a flag is set.
func (s Suspension) Any() bool { return s.Operator != nil || s.Guardrail != nil }

// Since is when the tenant was suspended; zero when it is not.
func (s Suspension) Since() (since time.Time) {
	for _, f := range []*Flag{s.Operator, s.Guardrail} {
		if f != nil && (since.IsZero() || f.Since.Before(since)) {
			since = f.Since
		}
	}
	return since
}

// Suspend sets a flag of a tenant that was set up, and reports whether anything has changed.
// One that is set keeps its time; what was to go out at once stays behind when that is said later,
// and not the other way round.
func (t *Tenant) Suspend(by Suspender, f Flag) (changed bool, err error) {
	if t.Status == Provisioning || t.Status == Deleting {
		return false, MaySend(t.Status)
	}
	at := t.Suspension.of(by)
	before := *at
	if before != nil {
		f.Since, f.Drain = before.Since, before.Drain && f.Drain
	}
	if before != nil && *before == f {
		return false, nil
	}
	*at = &f
	switch {
	case t.Status == Active && f.Drain:
		t.Status = Draining
	case !f.Drain:
		t.Status = Suspended
	}
	return true, nil
}

// Resume takes flags away, and gives those that were set. With the last one the tenant sends again.
func (t *Tenant) Resume(which ...Suspender) (lifted []Suspender, err error) {
	if t.Status == Provisioning || t.Status == Deleting {
		return nil, MaySend(t.Status)
	}
	for _, by := range which {
		if at := t.Suspension.of(by); *at != nil {
			*at = nil
			lifted = append(lifted, by)
		}
	}
	if !t.Suspension.Any() {
		t.Status = Active
	}
	return lifted, nil
}
