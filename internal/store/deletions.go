package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// DeletionStatus is where the deletion of a tenant stands.
type DeletionStatus string

// The states of a deletion. Only from scheduled is there a return.
const (
	DeletionScheduled DeletionStatus = "scheduled" // its grace goes on
	DeletionRunning   DeletionStatus = "running"
	DeletionCompleted DeletionStatus = "completed"
	DeletionRestored  DeletionStatus = "restored" // the tenant was
)

// Deletion is the record of a tenant's deletion.
type Deletion struct {
	ID          uuid.UUID
	TenantID    string
	Status      DeletionStatus
	GraceEndsAt *time.Time       // nil: there never was one
	Rows        map[string]int64 // deleted so far, by table
	Totals      map[string]int64 // rows when it started, by table; nil: not counted yet
	Receipt     *tenant.Receipt  // of a completed one
	RunID       string
	CreatedAt   time.Time
	StartedAt   *time.Time // since then there is no return
	FinishedAt  *time.Time
}

// BeginDeletion sets the fence: in one transaction the tenant becomes deleting, by which its keys are refused and its
// mail stays where it is. The rows stay for the grace, which may be nil for none. For a tenant that is being deleted it
// gives the deletion under way; a grace that ends earlier than its own takes effect, one that ends later does not.
func (s *Store) BeginDeletion(
	ctx context.Context, tenantID string, grace *time.Duration, conditions ...Condition[tenant.Tenant],
) (d Deletion, err error) {
	err = s.inSystem(ctx, "begin deletion", func(q *db.Queries) error {
		locked, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		var row db.TenantDeletion
		if tenant.Status(locked.Status) == tenant.Deleting {
			row, err = shorten(ctx, q, tenantID, grace)
		} else {
			row, err = fence(ctx, q, locked, graceSeconds(grace), conditions)
		}
		if err != nil {
			return err
		}
		d, err = toDeletion(row)
		return err
	})
	return d, err
}

func graceSeconds(grace *time.Duration) int64 {
	if grace == nil {
		return 0
	}
	return int64((*grace + time.Second - 1) / time.Second)
}

func shorten(ctx context.Context, q *db.Queries, tenantID string, grace *time.Duration) (row db.TenantDeletion, err error) {
	if grace != nil {
		row, err = q.ShortenGrace(ctx, tenantID, graceSeconds(grace))
		if err == nil {
			return row, record(ctx, q, audit.Act{
				Action: audit.TenantDelete, TenantID: tenantID, Target: tenantID, After: auditedGrace(row),
			})
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, err
		}
	}
	return q.GetOpenDeletion(ctx, tenantID)
}

func auditedGrace(row db.TenantDeletion) any {
	return map[string]any{"deletionId": id.Deletion.Format(row.ID), "graceEndsAt": row.GraceEndsAt}
}

func fence(
	ctx context.Context, q *db.Queries, locked db.Tenant, grace int64, conditions []Condition[tenant.Tenant],
) (row db.TenantDeletion, err error) {
	t, err := toTenant(locked)
	if err != nil {
		return row, err
	}
	if err := checkAll(conditions, t); err != nil {
		return row, err
	}
	if err := q.FenceTenant(ctx, t.ID); err != nil {
		return row, err
	}
	row, err = q.InsertTenantDeletion(ctx, db.InsertTenantDeletionParams{
		ID: id.New(), TenantID: t.ID, StatusBefore: string(t.Status), Grace: grace,
	})
	if err != nil {
		return row, err
	}
	act := audit.Act{Action: audit.TenantDelete, TenantID: t.ID, Target: t.ID, Before: auditedTenant(t)}
	if grace > 0 {
		act.After = auditedGrace(row)
	}
	return row, record(ctx, q, act)
}

// RestoreTenant takes a tenant back to where it stood before its deletion, while the grace goes on. Faults
// tenant_not_found, tenant_not_deleting, deletion_not_reversible.
func (s *Store) RestoreTenant(
	ctx context.Context, tenantID string, conditions ...Condition[tenant.Tenant],
) (restored tenant.Tenant, d Deletion, err error) {
	err = s.inSystem(ctx, "restore tenant", func(q *db.Queries) error {
		locked, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		before, err := toTenant(locked)
		if err != nil {
			return err
		}
		if before.Status != tenant.Deleting {
			return fault.New(fault.Conflict, "tenant_not_deleting", "The tenant is not being deleted.")
		}
		if err := checkAll(conditions, before); err != nil {
			return err
		}
		row, err := q.RestoreDeletion(ctx, tenantID)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.Conflict, "deletion_not_reversible", "The grace of the deletion is over, or there was none.")
		}
		if err != nil {
			return err
		}
		if d, err = toDeletion(row); err != nil {
			return err
		}
		is, err := q.RestoreTenant(ctx, row.StatusBefore, tenantID)
		if err != nil {
			return err
		}
		if restored, err = toTenant(is); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{
			Action: audit.TenantRestore, TenantID: tenantID, Target: tenantID, Before: auditedTenant(before), After: auditedTenant(restored),
		})
	})
	return restored, d, err
}

// EndGrace starts a deletion whose grace is over: from then on there is no return. It gives the deletion as it stands,
// which is scheduled while the grace goes on; restored and completed ones stay as they are.
func (s *Store) EndGrace(ctx context.Context, deletionID uuid.UUID) (d Deletion, err error) {
	err = s.inSystem(ctx, "end grace", func(q *db.Queries) error {
		locked, err := q.LockDeletion(ctx, deletionID)
		if err != nil {
			return noDeletion(translate("lock deletion", err))
		}
		if d, err = toDeletion(locked.TenantDeletion); err != nil {
			return err
		}
		if d.Status != DeletionScheduled || d.GraceEndsAt.After(locked.At) {
			return nil
		}
		d.Status, d.StartedAt = DeletionRunning, &locked.At
		return q.EndGrace(ctx, deletionID)
	})
	return d, err
}

// InGrace reports whether nothing of a tenant that is being deleted is deleted yet.
func (s *Store) InGrace(ctx context.Context, tenantID string) (bool, error) {
	in, err := s.q.IsInGrace(ctx, tenantID)
	return in, translate("get grace", err)
}

// Deletion gives the record of a deletion; fault deletion_not_found.
func (s *Store) Deletion(ctx context.Context, deletionID uuid.UUID) (Deletion, error) {
	row, err := s.q.GetTenantDeletion(ctx, deletionID)
	if err != nil {
		return Deletion{}, noDeletion(translate("get deletion", err))
	}
	return toDeletion(row)
}

func noDeletion(err error) error {
	return notFound(err, "deletion_not_found", "There is no such tenant deletion.")
}

// DeletionFilter says which deletions are wanted. What is empty is not asked for.
type DeletionFilter struct {
	TenantID string
	Status   DeletionStatus
}

// ListDeletions gives up to limit deletions after a cursor, newest first.
func (s *Store) ListDeletions(ctx context.Context, f DeletionFilter, after string, limit int) (items []Deletion, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	rows, err := s.q.ListDeletionsAfter(ctx, db.ListDeletionsAfterParams{
		AfterID: cursor, TenantID: f.TenantID, Status: string(f.Status), Count: int32(limit) + 1,
	})
	if err != nil {
		return nil, "", translate("list deletions", err)
	}
	rows, more := page(rows, limit)
	for _, row := range rows {
		d, err := toDeletion(row)
		if err != nil {
			return nil, "", err
		}
		items = append(items, d)
	}
	if more {
		next = cursorOf(rows[len(rows)-1].ID)
	}
	return items, next, nil
}

// SetDeletionRun records which workflow run deletes the tenant.
func (s *Store) SetDeletionRun(ctx context.Context, deletionID uuid.UUID, runID string) error {
	return translate("set deletion run", s.q.SetDeletionRun(ctx, runID, deletionID))
}

func toDeletion(row db.TenantDeletion) (Deletion, error) {
	d := Deletion{
		ID: row.ID, TenantID: row.TenantID, Status: DeletionStatus(row.Status), GraceEndsAt: row.GraceEndsAt, RunID: orZero(row.RunID),
		CreatedAt: row.CreatedAt, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
	}
	for _, column := range []struct {
		raw  json.RawMessage
		into any
	}{{row.Counts, &d.Rows}, {row.Totals, &d.Totals}, {row.Receipt, &d.Receipt}} {
		if column.raw == nil {
			continue
		}
		if err := json.Unmarshal(column.raw, column.into); err != nil {
			return d, translate("read deletion", fmt.Errorf("deletion %s: %w", row.ID, err))
		}
	}
	return d, nil
}
