package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/store/db"
)

// maxDomains is how many sender domains a tenant may have.
const maxDomains = 100

// Domain is a sender domain of a tenant.
type Domain struct {
	TenantID string
	ID       uuid.UUID
	domain.Domain
	CheckedAt *time.Time // nil: it was not looked at yet
	CheckAt   time.Time  // when it is looked at again
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CreateDomain stores a domain with its first keys, to be looked at at once; faults domain_exists
// and too_many_domains.
func (s *Store) CreateDomain(
	ctx context.Context, tenantID string, domainID uuid.UUID, name string, keys []domain.NewKey, keep ...Keep[Domain],
) (created Domain, err error) {
	err = s.inTenant(ctx, "create domain", tenantID, func(q *db.Queries) error {
		if err := q.LockTenantDomains(ctx, tenantID); err != nil {
			return err
		}
		n, err := q.CountDomains(ctx, tenantID)
		if err != nil {
			return err
		}
		if n >= maxDomains {
			return fault.New(fault.Conflict, "too_many_domains", "A tenant has at most %d domains.", maxDomains)
		}
		now := time.Now()
		row, err := q.InsertDomain(ctx, db.InsertDomainParams{TenantID: tenantID, ID: domainID, Name: name, Now: now})
		if err != nil {
			return err
		}
		if err := insertKeys(ctx, q, row, 1, keys, now); err != nil {
			return err
		}
		if created, err = withKeys(ctx, q, row); err != nil {
			return err
		}
		if err := keepAll(ctx, q, created, keep); err != nil {
			return err
		}
		return recordDomain(ctx, q, audit.DomainCreate, nil, &created)
	})
	return created, err
}

func insertKeys(ctx context.Context, q *db.Queries, d db.Domain, generation int, keys []domain.NewKey, now time.Time) error {
	for _, k := range keys {
		err := q.InsertDomainKey(ctx, db.InsertDomainKeyParams{
			TenantID: d.TenantID, DomainID: d.ID, Selector: k.Selector, Generation: int32(generation),
			Algorithm: string(k.Algorithm), Record: k.Record, PrivateKey: k.Private, Now: now,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Domain gives a tenant's domain by its name; fault domain_not_found.
func (s *Store) Domain(ctx context.Context, tenantID, name string) (d Domain, err error) {
	err = s.inTenant(ctx, "get domain", tenantID, func(q *db.Queries) error {
		row, err := q.GetDomain(ctx, tenantID, name)
		if err != nil {
			return noDomain(err)
		}
		d, err = withKeys(ctx, q, row)
		return err
	})
	return d, err
}

// ListDomains lists a tenant's domains, newest first.
func (s *Store) ListDomains(ctx context.Context, tenantID, after string, limit int) (items []Domain, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	err = s.inTenant(ctx, "list domains", tenantID, func(q *db.Queries) error {
		rows, err := q.ListDomains(ctx, db.ListDomainsParams{TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1})
		if err != nil {
			return err
		}
		rows, more := page(rows, limit)
		if items, err = allWithKeys(ctx, q, tenantID, rows...); err != nil {
			return err
		}
		if more {
			next = cursorOf(rows[len(rows)-1].ID)
		}
		return nil
	})
	return items, next, err
}

// KeyRotation gives a domain new keys.
type KeyRotation struct {
	Name string
	Keys []domain.NewKey
	Keep []Keep[Domain]
}

// RotateDomainKeys gives a domain new keys, which mail is signed with once their records were
// seen. Keys whose records were never seen are replaced at once. Fault domain_not_found.
func (s *Store) RotateDomainKeys(
	ctx context.Context, tenantID string, r KeyRotation, conditions ...Condition[Domain],
) (d Domain, err error) {
	err = s.inTenant(ctx, "rotate domain keys", tenantID, func(q *db.Queries) error {
		row, err := q.LockDomain(ctx, tenantID, r.Name)
		if err != nil {
			return noDomain(err)
		}
		before, err := withKeys(ctx, q, row)
		if err != nil {
			return err
		}
		if err := checkAll(conditions, before); err != nil {
			return err
		}
		now, last := time.Now(), 0
		for _, k := range before.Keys {
			last = max(last, k.Generation)
		}
		if err := q.DeleteUnseenDomainKeys(ctx, tenantID, row.ID); err != nil {
			return err
		}
		if err := insertKeys(ctx, q, row, last+1, r.Keys, now); err != nil {
			return err
		}
		if row, err = q.RestartDomain(ctx, db.RestartDomainParams{TenantID: tenantID, ID: row.ID, Now: now}); err != nil {
			return err
		}
		if d, err = withKeys(ctx, q, row); err != nil {
			return err
		}
		if err := keepAll(ctx, q, d, r.Keep); err != nil {
			return err
		}
		return recordDomain(ctx, q, audit.DomainRotateKeys, &before, &d)
	})
	return d, err
}

// DeleteDomain removes a domain with its keys: nothing more is sent from it. Fault
// domain_not_found. It changes what the tenant may send from, which no request may do by itself.
func (s *Store) DeleteDomain(ctx context.Context, tenantID, name string, conditions ...Condition[Domain]) (gone Domain, err error) {
	err = s.inSystem(ctx, "delete domain", func(q *db.Queries) error {
		if _, err := q.LockTenant(ctx, tenantID); err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		row, err := q.LockDomain(ctx, tenantID, name)
		if err != nil {
			return noDomain(err)
		}
		if gone, err = withKeys(ctx, q, row); err != nil {
			return err
		}
		if err := checkAll(conditions, gone); err != nil {
			return err
		}
		if _, err := q.DeleteDomain(ctx, tenantID, row.ID); err != nil {
			return err
		}
		if gone.Status.Usable() {
			if err := q.SetSenders(ctx, tenantID); err != nil {
				return err
			}
		}
		return recordDomain(ctx, q, audit.DomainDelete, &gone, nil)
	})
	return gone, err
}

func noDomain(err error) error {
	return notFound(translate("find domain", err), "domain_not_found", "There is no such domain.")
}

func withKeys(ctx context.Context, q *db.Queries, row db.Domain) (Domain, error) {
	all, err := allWithKeys(ctx, q, row.TenantID, row)
	if err != nil {
		return Domain{}, err
	}
	return all[0], nil
}

func allWithKeys(ctx context.Context, q *db.Queries, tenantID string, rows ...db.Domain) ([]Domain, error) {
	domains, place := make([]Domain, len(rows)), make(map[uuid.UUID]int, len(rows))
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i], place[row.ID] = row.ID, i
		domains[i] = Domain{
			TenantID: row.TenantID, ID: row.ID, CheckedAt: row.CheckedAt, CheckAt: row.CheckAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
			Domain: domain.Domain{
				Name: row.Name, Status: domain.Status(row.Status), VerifiedAt: row.VerifiedAt, FailingSince: row.FailingSince, Looks: int(row.Looks),
			},
		}
		if err := json.Unmarshal(row.Answers, &domains[i].Answers); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "answers_unreadable", "answers of domain %s", row.ID)
		}
	}
	keys, err := q.ListDomainKeys(ctx, tenantID, ids)
	for _, k := range keys {
		d := &domains[place[k.DomainID]]
		d.Keys = append(d.Keys, domain.Key{
			Selector: k.Selector, Algorithm: dkim.Algorithm(k.Algorithm), Generation: int(k.Generation), Record: k.Record,
			SeenAt: k.SeenAt, RetiredAt: k.RetiredAt, CreatedAt: k.CreatedAt,
		})
	}
	return domains, err
}
