package tenant

import "github.com/mailtura/mailtura/internal/fault"

// MaySend says whether mail of a tenant with this status is accepted; nil means yes.
func MaySend(s Status) error {
	switch s {
	case Active:
		return nil
	case Provisioning:
		return fault.New(fault.Conflict, "tenant_provisioning", "The tenant is still being set up.")
	case Draining, Suspended:
		return fault.New(fault.Forbidden, "tenant_suspended", "The tenant is suspended: nothing is accepted from it until it is resumed.")
	case Deleting:
		return fault.New(fault.Conflict, "tenant_deleting", "The tenant is being deleted.")
	}
	return fault.New(fault.Internal, "tenant_status_unknown", "tenant status %q", s)
}

// GoesOut says whether mail that was accepted before is handed over.
func GoesOut(s Status) bool { return s == Active || s == Draining }
