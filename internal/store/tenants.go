package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
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

// Stale lists what began before an instant and whose workflow may not have been started. Of deletions these are all that have
// something to do, since a workflow can be lost with Temporal's data, or ended by hand.
func (s *Store) Stale(ctx context.Context, before time.Time) (provisioning []string, deletions []Deletion, err error) {
	provisioning, err = s.q.ListStaleProvisioning(ctx, before)
	if err != nil {
		return nil, nil, translate("list stale provisioning", err)
	}
	rows, err := s.q.ListDeletionsToRun(ctx, before)
	if err != nil {
		return nil, nil, translate("list deletions to run", err)
	}
	for _, row := range rows {
		deletions = append(deletions, Deletion{ID: row.ID, TenantID: row.TenantID, RunID: orZero(row.RunID)})
	}
	return provisioning, deletions, nil
}

func noTenant(err error, tenantID string) error {
	return notFound(err, "tenant_not_found", "There is no tenant %q.", tenantID)
}

func toTenant(row db.Tenant) (tenant.Tenant, error) {
	t := tenant.Tenant{
		ID: row.ID, Name: row.Name, Domain: row.Domain, Status: tenant.Status(row.Status),
		Version: row.Version, Senders: row.Senders, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	return t, readSettings(row.Settings, row.Suspension, &t)
}

func readSettings(settings, suspension []byte, t *tenant.Tenant) error {
	if err := cmp.Or(json.Unmarshal(settings, &t.Settings), json.Unmarshal(suspension, &t.Suspension)); err != nil {
		return fault.Wrap(err, fault.Internal, "settings_unreadable", "settings of tenant %q", t.ID)
	}
	return nil
}
