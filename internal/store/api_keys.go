package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// APIKey is what is known of a key after it was made.
type APIKey struct {
	ID        uuid.UUID
	TenantID  string // empty: an operator key
	Name      string
	Prefix    string
	CreatedAt time.Time
	RevokedAt *time.Time

	ExpiresAt  *time.Time
	LastUsedAt *time.Time
	ReplacedBy *uuid.UUID // by a rotation
	Grant      apikey.Grant
	Networks   apikey.Networks
}

// NewKey is a key to be stored.
type NewKey struct {
	Name      string
	Key       apikey.Key
	ExpiresAt *time.Time
	Grant     apikey.Grant
	Networks  apikey.Networks
}

// Credential is what authentication needs of a key.
type Credential struct {
	ID           uuid.UUID
	TenantID     string // empty: an operator key
	TenantStatus tenant.Status
	Hash         []byte
	Revoked      bool
	ExpiresAt    *time.Time
	Grant        apikey.Grant
	Networks     apikey.Networks
}

// Credential finds the key with a public prefix; fault not_found.
func (s *Store) Credential(ctx context.Context, prefix string) (Credential, error) {
	row, err := s.q.GetAPIKeyByPrefix(ctx, prefix)
	if err != nil {
		return Credential{}, translate("get key", err)
	}
	c := Credential{
		ID: row.ID, Hash: row.Hash, Revoked: row.RevokedAt != nil, ExpiresAt: row.ExpiresAt,
		Grant: toGrant(row.Scopes), Networks: row.AllowedCidrs,
	}
	if row.TenantID != nil {
		c.TenantID = *row.TenantID
	}
	if row.TenantStatus != nil {
		c.TenantStatus = tenant.Status(*row.TenantStatus)
	}
	return c, nil
}

// CreateTenantKey stores a tenant's key.
func (s *Store) CreateTenantKey(ctx context.Context, tenantID string, k NewKey, keep ...Keep[APIKey]) (created APIKey, err error) {
	err = s.inTenant(ctx, "create key", tenantID, func(q *db.Queries) error {
		if created, err = insertKey(ctx, q, &tenantID, k); err != nil {
			return err
		}
		if err := keepAll(ctx, q, created, keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.APIKeyCreate, TenantID: tenantID, Target: created.target(), After: created.audited()})
	})
	return created, err
}

// CreateOperatorKey stores an operator key.
func (s *Store) CreateOperatorKey(ctx context.Context, k NewKey, keep ...Keep[APIKey]) (created APIKey, err error) {
	err = s.inSystem(ctx, "create operator key", func(q *db.Queries) error {
		if created, err = insertKey(ctx, q, nil, k); err != nil {
			return err
		}
		if err := keepAll(ctx, q, created, keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.OperatorKeyCreate, Target: created.target(), After: created.audited()})
	})
	return created, err
}

func insertKey(ctx context.Context, q *db.Queries, tenantID *string, k NewKey) (APIKey, error) {
	row, err := q.InsertAPIKey(ctx, db.InsertAPIKeyParams{
		ID: id.New(), TenantID: tenantID, Name: k.Name, Prefix: k.Key.Prefix, Hash: k.Key.Hash(),
		ExpiresAt: k.ExpiresAt, Scopes: fromGrant(k.Grant), AllowedCidrs: k.Networks,
	})
	return toAPIKey(row), err
}

// ListTenantKeys lists a tenant's keys, newest first.
func (s *Store) ListTenantKeys(ctx context.Context, tenantID, after string, limit int) (items []APIKey, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	var rows []db.ApiKey
	err = s.inTenant(ctx, "list keys", tenantID, func(q *db.Queries) error {
		rows, err = q.ListTenantAPIKeys(ctx, db.ListTenantAPIKeysParams{TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	items, next = keyPage(rows, limit)
	return items, next, nil
}

// ListOperatorKeys lists the operator keys, newest first.
func (s *Store) ListOperatorKeys(ctx context.Context, after string, limit int) (items []APIKey, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	rows, err := s.q.ListOperatorAPIKeys(ctx, cursor, int32(limit)+1)
	if err != nil {
		return nil, "", translate("list operator keys", err)
	}
	items, next = keyPage(rows, limit)
	return items, next, nil
}

// TenantKey gives a tenant's key; fault key_not_found.
func (s *Store) TenantKey(ctx context.Context, tenantID string, key uuid.UUID) (k APIKey, err error) {
	err = s.inTenant(ctx, "get key", tenantID, func(q *db.Queries) error {
		row, err := q.GetTenantAPIKey(ctx, key, tenantID)
		k = toAPIKey(row)
		return noKey(err)
	})
	return k, err
}

// OperatorKey gives an operator key; fault key_not_found.
func (s *Store) OperatorKey(ctx context.Context, key uuid.UUID) (APIKey, error) {
	row, err := s.q.GetOperatorAPIKey(ctx, key)
	return toAPIKey(row), noKey(err)
}

// RevokeTenantKey ends a tenant's key; fault key_not_found. Doing it again changes nothing.
func (s *Store) RevokeTenantKey(ctx context.Context, tenantID string, key uuid.UUID, conditions ...Condition[APIKey]) error {
	return s.inTenant(ctx, "revoke key", tenantID, func(q *db.Queries) error {
		row, err := q.LockTenantAPIKey(ctx, key, tenantID)
		return revoke(ctx, q, row, err, audit.APIKeyRevoke, conditions)
	})
}

// RevokeOperatorKey ends an operator key; fault key_not_found.
func (s *Store) RevokeOperatorKey(ctx context.Context, key uuid.UUID, conditions ...Condition[APIKey]) error {
	return s.inSystem(ctx, "revoke operator key", func(q *db.Queries) error {
		row, err := q.LockOperatorAPIKey(ctx, key)
		return revoke(ctx, q, row, err, audit.OperatorKeyRevoke, conditions)
	})
}

// revoke ends a key that is locked, unless it was not found.
func revoke(
	ctx context.Context, q *db.Queries, row db.ApiKey, err error, action audit.Action, conditions []Condition[APIKey],
) error {
	if err != nil {
		return noKey(err)
	}
	was := toAPIKey(row)
	if err := checkAll(conditions, was); err != nil || row.RevokedAt != nil {
		return err
	}
	ended, err := q.RevokeAPIKey(ctx, row.ID)
	if err != nil {
		return err
	}
	is := toAPIKey(ended)
	return record(ctx, q, audit.Act{Action: action, TenantID: is.TenantID, Target: is.target(), Before: was.audited(), After: is.audited()})
}

func noKey(err error) error {
	return notFound(translate("find key", err), "key_not_found", "There is no such key.")
}

func keyPage(rows []db.ApiKey, limit int) (items []APIKey, next string) {
	rows, more := page(rows, limit)
	for _, row := range rows {
		items = append(items, toAPIKey(row))
	}
	if more {
		next = cursorOf(rows[len(rows)-1].ID)
	}
	return items, next
}

func toAPIKey(row db.ApiKey) APIKey {
	k := APIKey{
		ID: row.ID, Name: row.Name, Prefix: row.Prefix, CreatedAt: row.CreatedAt, RevokedAt: row.RevokedAt,
		ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt, ReplacedBy: row.ReplacedBy, Grant: toGrant(row.Scopes),
		Networks: row.AllowedCidrs,
	}
	if row.TenantID != nil {
		k.TenantID = *row.TenantID
	}
	return k
}

func toGrant(scopes []string) apikey.Grant {
	if scopes == nil {
		return nil
	}
	grant := make(apikey.Grant, len(scopes))
	for i, scope := range scopes {
		grant[i] = apikey.Scope(scope)
	}
	return grant
}

func fromGrant(grant apikey.Grant) []string {
	if grant == nil {
		return nil
	}
	scopes := make([]string, len(grant))
	for i, scope := range grant {
		scopes[i] = string(scope)
	}
	return scopes
}
