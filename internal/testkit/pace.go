package testkit

import "time"

// Pace is when attempts were made, in order, under a rate limit.
type Pace struct {
	At        []time.Time
	PerSecond float64
	Burst     float64
}

// Excess is by how many attempts the busiest window, of whatever length, is above rate ×
// window + burst; not above 0 where the promise was kept.
func (p Pace) Excess() float64 {
	level, excess := 0.0, -p.Burst
	for i, at := range p.At {
		if i > 0 {
			level = max(0, level-at.Sub(p.At[i-1]).Seconds()*p.PerSecond)
		}
		level++
		excess = max(excess, level-p.Burst)
	}
	return excess
}

// Busiest is the most attempts of any window of a length, as a part of what is allowed in it.
func (p Pace) Busiest(window time.Duration) float64 {
	first, most := 0, 0
	for i, at := range p.At {
		for at.Sub(p.At[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return float64(most) / (window.Seconds()*p.PerSecond + p.Burst)
}

// Used is the part of the rate that was used from one instant to another.
func (p Pace) Used(from, until time.Time) float64 {
	return float64(len(p.between(from, until))) / (until.Sub(from).Seconds() * p.PerSecond)
}

// Steady is the middle of the attempts: from after the first ones, which the burst let
// through, until as many of the last ones are left.
func (p Pace) Steady() (from, until time.Time) {
	edge := len(p.At) / 8
	return p.At[edge], p.At[len(p.At)-1-edge]
}

// After are the attempts after an instant.
func (p Pace) After(at time.Time) Pace {
	p.At = p.between(at, at.Add(24*time.Hour))
	return p
}

func (p Pace) between(from, until time.Time) (at []time.Time) {
	for _, a := range p.At {
		if !a.Before(from) && a.Before(until) {
			at = append(at, a)
		}
	}
	return at
}
