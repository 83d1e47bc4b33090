package quota

import "time"

// Standing is where a tenant stands against its daily limit.
type Standing struct {
	Limit    *int // nil: no limit
	Used     int
	ResetsAt time.Time
}

// Remaining is how many recipients the day has left; nil without a limit. A limit that
// was lowered below what is used leaves 0.
func (s Standing) Remaining() *int {
	if s.Limit == nil {
		return nil
	}
	left := max(0, *s.Limit-s.Used)
	return &left
}
