// Package tenant holds what a tenant is: its id, its settings and the rules they obey,
// and whether it may send.
package tenant

import (
	"regexp"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/mailtura/mailtura/internal/fault"
)

// Status is where a tenant stands in its life.
type Status string

// The states of a tenant. A deleted tenant has no row and so no state.
const (
	Provisioning Status = "provisioning"
	Active       Status = "active"
	Draining     Status = "draining"  // nothing more is accepted, and what is queued goes out
	Suspended    Status = "suspended" // nothing is accepted, and nothing goes out
	Deleting     Status = "deleting"
)

// Tenant is one client of the installation.
type Tenant struct {
	ID         string
	Name       string
	Domain     string // lower case, IDNA A-labels
	Status     Status
	Suspension Suspension
	Settings   Settings
	Version    int64 // counts changes
	Senders    int64 // changes with the domains that it may send from beside its own, and their keys; 0: there are none
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

var (
	slugForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	notSlug  = regexp.MustCompile(`[^a-z0-9]+`)
)

// CheckID says whether id can be a tenant's id: a slug of 1 to 63 characters, as in a
// DNS label (RFC 1123 §2.1).
func CheckID(id string) error {
	if slugForm.MatchString(id) {
		return nil
	}
	return fault.New(fault.Invalid, "invalid_tenant_id",
		"A tenant id has 1 to 63 characters a-z, 0-9 and -, and neither starts nor ends with -.")
}

// Slug derives an id from a name: "Acme Corp" → "acme-corp". It may be empty when
// the name has no letter or digit that ASCII can show.
func Slug(name string) string {
	s := notSlug.ReplaceAllString(strings.ToLower(withoutMarks(name)), "-")
	s = strings.Trim(s, "-")
	if len(s) > 63 {
		s = strings.TrimRight(s[:63], "-")
	}
	return s
}

// withoutMarks drops combining marks, so that "Müller" becomes "muller" and not "mu-ller".
func withoutMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x0300 && r <= 0x036f {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
}
