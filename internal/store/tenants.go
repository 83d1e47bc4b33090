package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// CreateTenant writes a new tenant in status provisioning; fault tenant_exists when the id is taken.
func (s *Store) CreateTenant(ctx context.Context, t tenant.Tenant, keep ...Keep[tenant.Tenant]) (created tenant.Tenant, err error) {
	settings, err := json.Marshal(t.Settings)
	if err != nil {
		return created, translate("encode settings", err)
	}
	err = s.inSystem(ctx, "create tenant", func(q *db.Queries) error {
		row, err := q.InsertTenant(ctx, db.InsertTenantParams{ID: t.ID, Name: t.Name, Domain: t.Domain, Settings: settings})
		if err != nil {
			return err
		}
		if created, err = toTenant(row); err != nil {
			return err
		}
		if err := keepAll(ctx, q, created, keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.TenantCreate, TenantID: t.ID, Target: t.ID, After: auditedTenant(created)})
	})
	return created, err
}

// auditedTenant is what the audit log has of a tenant.
func auditedTenant(t tenant.Tenant) any {
	return map[string]any{"name": t.Name, "domain": t.Domain, "status": t.Status, "settings": t.Settings}
}

// Tenant gives a tenant; fault tenant_not_found.
func (s *Store) Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	row, err := s.q.GetTenant(ctx, tenantID)
	if err != nil {
		return tenant.Tenant{}, noTenant(translate("get tenant", err), tenantID)
	}
	return toTenant(row)
}

// UpdateTenant changes a tenant by what change makes of it, one change at a time.
func (s *Store) UpdateTenant(ctx context.Context, tenantID string, change func(*tenant.Tenant) error) (updated tenant.Tenant, err error) {
	err = s.inSystem(ctx, "update tenant", func(q *db.Queries) error {
		row, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		t, err := toTenant(row)
		if err != nil {
			return err
		}
		before := auditedTenant(t)
		if t.Status == tenant.Deleting {
			return tenant.MaySend(t.Status)
		}
		if err := change(&t); err != nil {
			return err
		}
		settings, err := json.Marshal(t.Settings)
		if err != nil {
			return err
		}
		row, err = q.UpdateTenant(ctx, db.UpdateTenantParams{ID: t.ID, Name: t.Name, Domain: t.Domain, Settings: settings})
		if err != nil {
			return err
		}
		if updated, err = toTenant(row); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{
			Action: audit.TenantUpdate, TenantID: t.ID, Target: t.ID, Before: before, After: auditedTenant(updated),
		})
	})
	return updated, err
}

// ActivateTenant takes a tenant from provisioning to active; doing it again changes nothing.
func (s *Store) ActivateTenant(ctx context.Context, tenantID string) error {
	_, err := s.q.ActivateTenant(ctx, tenantID)
	return translate("activate tenant", err)
}

// Deletion is the record of a tenant's deletion.
type Deletion struct {
	ID         uuid.UUID
	TenantID   string
	Completed  bool
	Rows       map[string]int64 // deleted so far, by table
	RunID      string
	CreatedAt  time.Time
	FinishedAt *time.Time
}

// BeginDeletion sets the fence: in one transaction the tenant becomes deleting and its
// keys are revoked. For a tenant that is being deleted it gives the deletion under way.
func (s *Store) BeginDeletion(ctx context.Context, tenantID string, conditions ...Condition[tenant.Tenant]) (d Deletion, err error) {
	err = s.inSystem(ctx, "begin deletion", func(q *db.Queries) error {
		locked, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		var row db.TenantDeletion
		if tenant.Status(locked.Status) == tenant.Deleting {
			row, err = q.GetRunningDeletion(ctx, tenantID)
		} else {
			row, err = fence(ctx, q, locked, conditions)
		}
		if err != nil {
			return err
		}
		d, err = toDeletion(row)
		return err
	})
	return d, err
}

func fence(ctx context.Context, q *db.Queries, locked db.Tenant, conditions []Condition[tenant.Tenant]) (db.TenantDeletion, error) {
	t, err := toTenant(locked)
	if err != nil {
		return db.TenantDeletion{}, err
	}
	if err := checkAll(conditions, t); err != nil {
		return db.TenantDeletion{}, err
	}
	if err := q.FenceTenant(ctx, t.ID); err != nil {
		return db.TenantDeletion{}, err
	}
	if err := q.RevokeAllTenantAPIKeys(ctx, t.ID); err != nil {
		return db.TenantDeletion{}, err
	}
	row, err := q.InsertTenantDeletion(ctx, id.New(), t.ID)
	if err != nil {
		return row, err
	}
	return row, record(ctx, q, audit.Act{Action: audit.TenantDelete, TenantID: t.ID, Target: t.ID, Before: auditedTenant(t)})
}

// Deletion gives the record of a deletion; fault deletion_not_found.
func (s *Store) Deletion(ctx context.Context, deletionID uuid.UUID) (Deletion, error) {
	row, err := s.q.GetTenantDeletion(ctx, deletionID)
	if err != nil {
		return Deletion{}, notFound(translate("get deletion", err), "deletion_not_found", "There is no such tenant deletion.")
	}
	return toDeletion(row)
}

// SetDeletionRun records which workflow run deletes the tenant.
func (s *Store) SetDeletionRun(ctx context.Context, deletionID uuid.UUID, runID string) error {
	return translate("set deletion run", s.q.SetDeletionRun(ctx, runID, deletionID))
}

// Stale lists what began before an instant and whose workflow may not have been started.
func (s *Store) Stale(ctx context.Context, before time.Time) (provisioning []string, deletions []Deletion, err error) {
	provisioning, err = s.q.ListStaleProvisioning(ctx, before)
	if err != nil {
		return nil, nil, translate("list stale provisioning", err)
	}
	rows, err := s.q.ListStaleDeletions(ctx, before)
	if err != nil {
		return nil, nil, translate("list stale deletions", err)
	}
	for _, row := range rows {
		deletions = append(deletions, Deletion{ID: row.ID, TenantID: row.TenantID})
	}
	return provisioning, deletions, nil
}

func noTenant(err error, tenantID string) error {
	return notFound(err, "tenant_not_found", "There is no tenant %q.", tenantID)
}

func toTenant(row db.Tenant) (tenant.Tenant, error) {
	t := tenant.Tenant{
		ID: row.ID, Name: row.Name, Domain: row.Domain, Status: tenant.Status(row.Status),
		Version: row.Version, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	return t, readSettings(row.Settings, row.Suspension, &t)
}

func readSettings(settings, suspension []byte, t *tenant.Tenant) error {
	if err := cmp.Or(json.Unmarshal(settings, &t.Settings), json.Unmarshal(suspension, &t.Suspension)); err != nil {
		return fault.Wrap(err, fault.Internal, "settings_unreadable", "settings of tenant %q", t.ID)
	}
	return nil
}

func toDeletion(row db.TenantDeletion) (Deletion, error) {
	d := Deletion{
		ID: row.ID, TenantID: row.TenantID, Completed: row.Status == "completed",
		CreatedAt: row.CreatedAt, FinishedAt: row.FinishedAt,
	}
	if row.RunID != nil {
		d.RunID = *row.RunID
	}
	err := json.Unmarshal(row.Counts, &d.Rows)
	return d, translate("read deletion counts", err)
}
