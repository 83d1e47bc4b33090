package activities

import "time"

// demand counts the permits that a process takes, by the second.
type demand struct {
	since        time.Time // begin of the second that goes on
	now, earlier int       // taken in it, and in the one before
}

func (d *demand) add(n int, at time.Time) {
	d.turn(at)
	d.now += n
}

// perSecond is how many are taken in a second.
func (d *demand) perSecond(at time.Time) int {
	d.turn(at)
	return max(d.now, d.earlier)
}

func (d *demand) turn(at time.Time) {
	gone := at.Sub(d.since)
	if gone < time.Second {
		return
	}
	d.since, d.now, d.earlier = at, 0, d.now
	if gone >= 2*time.Second {
		d.earlier = 0
	}
}
