// Package domain says what a tenant's sender domain is: its keys, the DNS records that it
// needs, and what follows from the answers of the DNS.
//
// The keys of a domain are made for one tenant. Only somebody who controls the DNS of the
// domain can publish their records, so that these prove both that mail from the domain can be
// signed and that the tenant may send it. All other records are advice.
package domain

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/address"
)

// Status is where a domain stands.
type Status string

// The states of a domain.
const (
	Pending  Status = "pending"  // its required records were never all there
	Verified Status = "verified" // they are
	Failing  Status = "failing"  // they were and are not; mail is sent as before, for LostAfter
	Lost     Status = "lost"     // no mail is sent from it
)

// LostAfter is how long the records of a verified domain may be missing.
const LostAfter = 3 * 24 * time.Hour

// Overlap is how long replaced keys stay listed: mail that was signed with them is still on its way.
const Overlap = 7 * 24 * time.Hour

// maxName leaves room for "<selector>._domainkey." within the 253 octets of a name.
const maxName = 220

// Usable reports whether mail may be sent from a domain.
func (s Status) Usable() bool { return s == Verified || s == Failing }

// Domain is a sender domain of a tenant.
type Domain struct {
	Name         string // lower case, IDNA A-labels
	Status       Status
	VerifiedAt   *time.Time // last
	FailingSince *time.Time // of one that is failing or lost
	Keys         []Key      // newest generation first
	Answers      []Answer   // of the last look
	Looks        int        // since it was made, or something was to be seen soon
}

// ParseName reads the name of a domain; faults invalid_domain and public_suffix. A final dot is
// no part of the name.
func ParseName(s string) (string, error) {
	name, err := address.ParseDomain(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	if len(name) > maxName {
		return "", fault.New(fault.Invalid, "invalid_domain",
			"the domain has more than %d octets, so that its DKIM records could have no names", maxName)
	}
	if name == "localhost" {
		return "", fault.New(fault.Invalid, "invalid_domain", "localhost is this machine, and no domain in the DNS")
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(name); err != nil {
		return "", fault.New(fault.Invalid, "public_suffix", "%s is a public suffix, under which others register their domains", name)
	}
	return name, nil
}

// Rotating reports whether there are keys that mail is not signed with because their records
// were not seen yet, while it is signed with others.
func (d Domain) Rotating() bool {
	newest := d.newest()
	return len(newest) > 0 && newest[0].SeenAt == nil && len(d.active()) > 0
}

// newest are the keys that were made last.
func (d Domain) newest() []Key {
	last := 0
	for _, k := range d.Keys {
		last = max(last, k.Generation)
	}
	return d.generation(func(k Key) bool { return k.Generation == last })
}

// active are the keys that mail is signed with.
func (d Domain) active() []Key { return d.generation(Key.Active) }

// needed are the keys whose records a domain has to have: those that mail is signed with, or
// of one that was never verified the newest.
func (d Domain) needed() []Key {
	if active := d.active(); len(active) > 0 {
		return active
	}
	return d.newest()
}

func (d Domain) generation(of func(Key) bool) (keys []Key) {
	for _, k := range d.Keys {
		if of(k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// steps are the pauses between looks while something is waited for.
var steps = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

const (
	hourly    = time.Hour
	routinely = 6 * time.Hour
	// patience is how many looks are made at a domain of which nothing is seen before it is
	// looked at as seldom as one where all is well: those of three days.
	patience = 75
)

// Pause is how long a domain is left alone after a look.
func (d Domain) Pause() time.Duration {
	waiting := d.Status == Pending || d.Rotating()
	switch {
	case d.Status == Failing:
		return hourly
	case !waiting || d.Looks > patience:
		return routinely
	case d.Looks <= len(steps):
		return steps[max(d.Looks-1, 0)]
	}
	return hourly
}

// Missing are the names of the records that the domain has to have and has not.
func (d Domain) Missing() (names []string) {
	for _, k := range d.needed() {
		if d.keyStatus(k) != Found {
			names = append(names, k.Name(d.Name))
		}
	}
	return names
}

func (d Domain) clone() Domain {
	d.Keys, d.Answers = slices.Clone(d.Keys), slices.Clone(d.Answers)
	return d
}
