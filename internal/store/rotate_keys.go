package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// Rotation replaces a key by a new one of the same name, grant and networks.
type Rotation struct {
	Old     uuid.UUID
	New     apikey.Key
	Now     time.Time
	Overlap time.Duration // how long the old key is good beside the new one
	// ExpiresAt is when the new key ends; nil: it lives as long as the old one was made for.
	ExpiresAt *time.Time
	Latest    *time.Time                                // by when it ends at the latest; nil: there is no bound
	Allow     func(apikey.Grant, apikey.Networks) error // may refuse to give out a key like the old one
}

// RotateTenantKey replaces a tenant's key; faults key_not_found and key_ended.
func (s *Store) RotateTenantKey(ctx context.Context, tenantID string, r Rotation, keep ...Keep[APIKey]) (created APIKey, err error) {
	err = s.inTenant(ctx, "rotate key", tenantID, func(q *db.Queries) error {
		old, err := q.LockTenantAPIKey(ctx, r.Old, tenantID)
		if err != nil {
			return noKey(err)
		}
		created, err = r.replace(ctx, q, old, audit.APIKeyRotate, keep)
		return err
	})
	return created, err
}

// RotateOperatorKey replaces an operator key; faults key_not_found and key_ended.
func (s *Store) RotateOperatorKey(ctx context.Context, r Rotation, keep ...Keep[APIKey]) (created APIKey, err error) {
	err = s.inSystem(ctx, "rotate operator key", func(q *db.Queries) error {
		old, err := q.LockOperatorAPIKey(ctx, r.Old)
		if err != nil {
			return noKey(err)
		}
		created, err = r.replace(ctx, q, old, audit.OperatorKeyRotate, keep)
		return err
	})
	return created, err
}

func (r Rotation) replace(
	ctx context.Context, q *db.Queries, old db.ApiKey, action audit.Action, keep []Keep[APIKey],
) (APIKey, error) {
	if old.RevokedAt != nil || old.ReplacedBy != nil || (old.ExpiresAt != nil && !r.Now.Before(*old.ExpiresAt)) {
		return APIKey{}, fault.New(fault.Conflict, "key_ended", "The key is revoked, expired or replaced already.")
	}
	k := NewKey{Name: old.Name, Key: r.New, ExpiresAt: r.end(old), Grant: toGrant(old.Scopes), Networks: old.AllowedCidrs}
	if err := r.Allow(k.Grant, k.Networks); err != nil {
		return APIKey{}, err
	}
	created, err := insertKey(ctx, q, old.TenantID, k)
	if err != nil {
		return APIKey{}, err
	}
	row, err := q.ReplaceAPIKey(ctx, db.ReplaceAPIKeyParams{ReplacedBy: created.ID, EndsAt: r.Now.Add(r.Overlap), ID: old.ID})
	if err != nil {
		return APIKey{}, err
	}
	if err := keepAll(ctx, q, created, keep); err != nil {
		return APIKey{}, err
	}
	was, replaced := toAPIKey(old), toAPIKey(row)
	return created, record(ctx, q, audit.Act{
		Action: action, TenantID: was.TenantID, Target: was.target(), Before: was.audited(), After: replaced.audited(),
	}, audit.Act{
		Action: action, TenantID: created.TenantID, Target: created.target(), After: created.audited(),
	})
}

// end is when the new key ends; nil: never.
func (r Rotation) end(old db.ApiKey) *time.Time {
	if r.ExpiresAt != nil {
		return r.ExpiresAt
	}
	if old.ExpiresAt == nil {
		return r.Latest
	}
	ends := r.Now.Add(old.ExpiresAt.Sub(old.CreatedAt))
	if r.Latest != nil && r.Latest.Before(ends) {
		return r.Latest
	}
	return &ends
}

// TouchKeys notes when keys were used.
func (s *Store) TouchKeys(ctx context.Context, keys []uuid.UUID, at time.Time) error {
	return translate("note use of keys", s.q.TouchAPIKeys(ctx, at, keys))
}
