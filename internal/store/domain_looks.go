package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// EventDomain is what an event has of a sender domain.
type EventDomain struct {
	Domain  string     `json:"domain"`
	Missing []string   `json:"missing"` // names of records
	LostAt  *time.Time `json:"lostAt"`  // of one that is failing: when it is lost, if nothing changes
}

// DomainByID gives a tenant's domain; fault domain_not_found.
func (s *Store) DomainByID(ctx context.Context, tenantID string, domainID uuid.UUID) (Domain, error) {
	row, err := s.q.GetDomainByID(ctx, tenantID, domainID)
	if err != nil {
		return Domain{}, noDomain(err)
	}
	d, err := withKeys(ctx, s.q, row)
	return d, translate("get domain", err)
}

// Look is what the DNS was found to say of a domain.
type Look struct {
	TenantID string
	DomainID uuid.UUID
	Answers  []domain.Answer
	Asked    bool // for a look: what is missing is expected soon
}

// JudgeDomain writes down what the DNS said, and what follows from it, with the event that tells
// of it. blocked says that all records are there, but that another tenant has the domain verified.
// Faults domain_not_found and tenant_not_found.
func (s *Store) JudgeDomain(ctx context.Context, l Look) (after Domain, blocked bool, err error) {
	err = s.inSystem(ctx, "judge domain", func(q *db.Queries) error {
		if _, err := q.LockTenant(ctx, l.TenantID); err != nil {
			return noTenant(translate("lock tenant", err), l.TenantID)
		}
		row, err := q.LockDomainByID(ctx, l.TenantID, l.DomainID)
		if err != nil {
			return noDomain(err)
		}
		before, err := withKeys(ctx, q, row)
		if err != nil {
			return err
		}
		if l.Asked {
			before.Looks = 0
		}
		taken, err := q.IsDomainTaken(ctx, row.Name, l.TenantID)
		if err != nil {
			return err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		judged, happened := before.Judge(l.Answers, now, !taken)
		blocked = taken && judged.Complete()
		if row, err = setLook(ctx, q, row, judged, now); err != nil {
			return err
		}
		if err := setKeys(ctx, q, before, judged); err != nil {
			return err
		}
		if err := tellDomain(ctx, q, l.TenantID, judged, happened); err != nil {
			return err
		}
		after, err = withKeys(ctx, q, row)
		return err
	})
	return after, blocked, err
}

func setLook(ctx context.Context, q *db.Queries, row db.Domain, d domain.Domain, now time.Time) (db.Domain, error) {
	answers, err := json.Marshal(d.Answers)
	if err != nil {
		return row, err
	}
	return q.SetDomainLook(ctx, db.SetDomainLookParams{
		TenantID: row.TenantID, ID: row.ID, Status: string(d.Status), VerifiedAt: d.VerifiedAt, FailingSince: d.FailingSince,
		Answers: answers, Looks: int32(d.Looks), Now: now, CheckAt: now.Add(d.Pause()),
	})
}

var errDomainTaken = fault.New(fault.Conflict, "domain_taken",
	"All required records are there, but another tenant of this installation has the domain verified. Its operator can tell which.")

// DomainTaken is the fault of a domain that another tenant has verified.
func DomainTaken() error { return errDomainTaken }

// setKeys writes what has become of keys, and where what mail is signed with has changed, that it has.
func setKeys(ctx context.Context, q *db.Queries, before Domain, after domain.Domain) error {
	changed := before.Status.Usable() != after.Status.Usable()
	for _, old := range before.Keys {
		i := slices.IndexFunc(after.Keys, func(k domain.Key) bool { return k.Selector == old.Selector })
		switch {
		case i < 0:
			gone := db.DeleteDomainKeyParams{TenantID: before.TenantID, DomainID: before.ID, Selector: old.Selector}
			if err := q.DeleteDomainKey(ctx, gone); err != nil {
				return err
			}
		case after.Keys[i].Active() != old.Active():
			changed = true
			err := q.SetDomainKey(ctx, db.SetDomainKeyParams{
				TenantID: before.TenantID, DomainID: before.ID, Selector: old.Selector,
				SeenAt: *after.Keys[i].SeenAt, RetiredAt: after.Keys[i].RetiredAt,
			})
			if err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	return q.SetSenders(ctx, before.TenantID)
}

func tellDomain(ctx context.Context, q *db.Queries, tenantID string, d domain.Domain, happened event.Type) error {
	if happened == "" {
		return nil
	}
	told := EventDomain{Domain: d.Name, Missing: d.Missing()}
	if happened == event.DomainFailing {
		at := d.FailingSince.Add(domain.LostAfter)
		told.LostAt = &at
	}
	return (&news{happened, told}).tell(ctx, q, tenantID)
}

// SenderDomains are the domains that a tenant may send from beside its own.
func (s *Store) SenderDomains(ctx context.Context, tenantID string) (names []string, err error) {
	err = s.inTenant(ctx, "list sender domains", tenantID, func(q *db.Queries) error {
		names, err = q.ListSenderDomains(ctx, tenantID)
		return err
	})
	return names, err
}

// SigningKey is the private half of a key that mail from a domain is signed with, sealed.
type SigningKey struct {
	DomainID uuid.UUID
	Domain   string
	Selector string
	Private  []byte
}

// SigningKeys are those of all domains that a tenant may send from.
func (s *Store) SigningKeys(ctx context.Context, tenantID string) ([]SigningKey, error) {
	rows, err := s.q.ListSigningKeys(ctx, tenantID)
	keys := make([]SigningKey, len(rows))
	for i, row := range rows {
		keys[i] = SigningKey{DomainID: row.ID, Domain: row.Name, Selector: row.Selector, Private: row.PrivateKey}
	}
	return keys, translate("list signing keys", err)
}

// DomainRef names a domain.
type DomainRef struct {
	TenantID string
	ID       uuid.UUID
}

// ClaimUnwatchedDomains gives domains that should have been looked at before an instant, so that
// their workflows do not run. Others do not get them until another one.
func (s *Store) ClaimUnwatchedDomains(ctx context.Context, before, until time.Time, limit int) ([]DomainRef, error) {
	rows, err := s.q.ClaimUnwatchedDomains(ctx, db.ClaimUnwatchedDomainsParams{Before: before, Until: until, Count: int32(limit)})
	refs := make([]DomainRef, len(rows))
	for i, row := range rows {
		refs[i] = DomainRef{row.TenantID, row.ID}
	}
	return refs, translate("claim unwatched domains", err)
}
