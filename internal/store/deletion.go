package store

import (
	"context"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// TenantTables are the tables that hold a tenant's rows, children before parents.
var TenantTables = []string{
	"attempts", "recipients", "email_contents", "emails", "dispatches", "daily_usage",
	"template_versions", "templates", "api_keys",
}

// DeleteTenantRows deletes one chunk of one of TenantTables and counts it on the
// deletion's record in the same transaction. It says how many rows it deleted; 0: none are left.
func (s *Store) DeleteTenantRows(
	ctx context.Context, tenantID string, deletion uuid.UUID, table string, chunk int,
) (deleted int64, err error) {
	err = s.inSystem(ctx, "delete tenant rows", func(q *db.Queries) error {
		if deleted, err = deleteChunk(ctx, q, tenantID, table, int32(chunk)); err != nil || deleted == 0 {
			return err
		}
		return q.AddDeletionCount(ctx, db.AddDeletionCountParams{ID: deletion, TableName: table, Deleted: deleted})
	})
	return deleted, err
}

func deleteChunk(ctx context.Context, q *db.Queries, tenantID, table string, chunk int32) (int64, error) {
	remove := map[string]func(context.Context, string, int32) (int64, error){
		"attempts":          q.DeleteTenantAttempts,
		"recipients":        q.DeleteTenantRecipients,
		"email_contents":    q.DeleteTenantEmailContents,
		"emails":            q.DeleteTenantEmails,
		"dispatches":        q.DeleteTenantDispatches,
		"daily_usage":       q.DeleteTenantDailyUsage,
		"template_versions": q.DeleteTenantTemplateVersions,
		"templates":         q.DeleteTenantTemplates,
		"api_keys":          q.DeleteTenantAPIKeys,
	}[table]
	if remove == nil {
		return 0, fault.New(fault.Internal, "unknown_table", "table %q", table)
	}
	return remove(ctx, tenantID, chunk)
}

// FinishDeletion removes the tenant itself if nothing else of it is left, and closes the
// record. finished is false when there are rows again: the caller deletes once more.
func (s *Store) FinishDeletion(ctx context.Context, tenantID string, deletion uuid.UUID) (finished bool, err error) {
	err = s.inSystem(ctx, "finish deletion", func(q *db.Queries) error {
		left, err := q.CountTenantRows(ctx, tenantID)
		if err != nil || left > 0 {
			return err
		}
		finished = true
		if _, err := q.DeleteTenant(ctx, tenantID); err != nil {
			return err
		}
		return q.FinishTenantDeletion(ctx, deletion)
	})
	return finished, err
}
