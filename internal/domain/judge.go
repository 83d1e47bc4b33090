package domain

import (
	"slices"
	"time"

	"github.com/mailtura/mailtura/internal/event"
)

// Judge says what follows from the answers of a look. happened is the event that tells of it;
// empty: none. free says that no other tenant of the installation has the domain verified:
// while one has, nothing is taken as seen.
//
// Where the DNS did not answer, nothing follows: a domain is not lost by that.
func (d Domain) Judge(answers []Answer, now time.Time, free bool) (after Domain, happened event.Type) {
	after = d.clone()
	after.Answers = answers
	after.Looks++
	if free {
		after.see(now)
	}
	after.Keys = slices.DeleteFunc(after.Keys, func(k Key) bool { return k.RetiredAt != nil && !now.Before(k.RetiredAt.Add(Overlap)) })
	there, gone := after.standing()
	switch {
	case there && free && !d.Status.Usable(), there && d.Status == Failing:
		after.Status, after.VerifiedAt, after.FailingSince = Verified, &now, nil
		return after, event.DomainVerified
	case gone && d.Status == Verified:
		after.Status, after.FailingSince = Failing, &now
		return after, event.DomainFailing
	case gone && d.Status == Failing && !now.Before(d.FailingSince.Add(LostAfter)):
		after.Status = Lost
		return after, event.DomainLost
	}
	return after, ""
}

// see has mail signed with the newest keys once all of their records are there, and the keys before replaced.
func (d *Domain) see(now time.Time) {
	newest := d.newest()
	if len(newest) == 0 || newest[0].SeenAt != nil || !d.all(newest, Found) {
		return
	}
	for i, k := range d.Keys {
		switch {
		case k.Generation == newest[0].Generation:
			d.Keys[i].SeenAt = &now
		case k.Active():
			d.Keys[i].RetiredAt = &now
		}
	}
}

// Complete reports whether all records that are needed are there.
func (d Domain) Complete() bool {
	there, _ := d.standing()
	return there
}

// standing reports whether all records that are needed are there, or whether one of them is not.
func (d Domain) standing() (there, gone bool) {
	needed := d.needed()
	for _, k := range needed {
		if status := d.keyStatus(k); status == Missing || status == Different {
			gone = true
		}
	}
	return len(needed) > 0 && d.all(needed, Found), gone
}

func (d Domain) all(keys []Key, status RecordStatus) bool {
	return !slices.ContainsFunc(keys, func(k Key) bool { return d.keyStatus(k) != status })
}
