package flow

import "sync/atomic"

const (
	// inlineLimit is the largest dispatch, in emails, whose first delivery is a local activity
	// whatever else the process does, and inlineWithRoom the largest where there is room.
	// Either takes a turn of two seconds at the most, well within a workflow task.
	inlineLimit    = 20
	inlineWithRoom = 500
	// room is how many such deliveries a process has before large dispatches have to wait in
	// the task queue for their fair turn.
	room = 8
)

// Inline counts the deliveries that run inside workflow tasks of this process.
type Inline struct{ running atomic.Int32 }

// Begin counts one more, until end is called.
func (i *Inline) Begin() (end func()) {
	i.running.Add(1)
	return func() { i.running.Add(-1) }
}

// fits reports whether the first delivery of a dispatch of so many emails may be one of them.
func (i *Inline) fits(emails int) bool {
	if i == nil {
		return false
	}
	return emails <= inlineLimit || (emails <= inlineWithRoom && i.running.Load() < room)
}
