package store

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// TenantTables are the tables that DeleteTenantRows empties, children before parents. What
// belongs to emails goes with them.
var TenantTables = []string{
	"emails", "dispatches", "bulk_send_errors", "bulk_send_chunks", "bulk_sends", "events", "daily_usage",
	"template_versions", "templates", "idempotency_keys", "api_keys", "webhook_retries", "webhook_deliveries", "webhooks",
	"metric_cursors", "metrics", "metric_uniques", // the cursor first: a roller has it locked
}

// DeleteTenantRows deletes one chunk of one of TenantTables and counts it on the
// deletion's record in the same transaction. It says how many rows of which tables it
// deleted; none: none are left.
func (s *Store) DeleteTenantRows(
	ctx context.Context, tenantID string, deletion uuid.UUID, table string, chunk int,
) (deleted map[string]int64, err error) {
	err = s.inSystem(ctx, "delete tenant rows", func(q *db.Queries) error {
		if deleted, err = deleteChunk(ctx, q, tenantID, table, int32(chunk)); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(deleted)) {
			if err := q.AddDeletionCount(ctx, db.AddDeletionCountParams{ID: deletion, TableName: name, Deleted: deleted[name]}); err != nil {
				return err
			}
		}
		return nil
	})
	return deleted, err
}

func deleteChunk(ctx context.Context, q *db.Queries, tenantID, table string, chunk int32) (map[string]int64, error) {
	if table == "emails" {
		return deleteEmails(ctx, q, tenantID, chunk)
	}
	remove := map[string]func(context.Context, string, int32) (int64, error){
		"dispatches":        q.DeleteTenantDispatches,
		"bulk_send_errors":  q.DeleteTenantBulkSendErrors,
		"bulk_send_chunks":  q.DeleteTenantBulkSendChunks,
		"bulk_sends":        q.DeleteTenantBulkSends,
		"events":            q.DeleteTenantEvents,
		"daily_usage":       q.DeleteTenantDailyUsage,
		"template_versions": q.DeleteTenantTemplateVersions,
		"templates":         q.DeleteTenantTemplates,
		"idempotency_keys":  q.DeleteTenantIdempotencyKeys,
		"api_keys":          q.DeleteTenantAPIKeys,

		"webhook_retries":    q.DeleteTenantWebhookRetries,
		"webhook_deliveries": q.DeleteTenantWebhookDeliveries,
		"webhooks":           q.DeleteTenantWebhooks,
		"metrics":            q.DeleteTenantMetrics,
		"metric_uniques":     q.DeleteTenantMetricUniques,
		"metric_cursors":     q.DeleteTenantMetricCursors,
	}[table]
	if remove == nil {
		return nil, fault.New(fault.Internal, "unknown_table", "table %q", table)
	}
	n, err := remove(ctx, tenantID, chunk)
	if err != nil || n == 0 {
		return nil, err
	}
	return map[string]int64{table: n}, nil
}

func deleteEmails(ctx context.Context, q *db.Queries, tenantID string, chunk int32) (map[string]int64, error) {
	ids, err := q.ListTenantEmails(ctx, tenantID, chunk)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	deleted := map[string]int64{}
	for _, step := range []struct {
		table  string
		remove func(context.Context, []uuid.UUID) (int64, error)
	}{
		{"attempts", q.DeleteAttemptsOf},
		{"engagements", q.DeleteEngagementsOf},
		{"recipients", q.DeleteRecipientsOf},
		{"email_contents", q.DeleteContentsOf},
		{"emails", q.DeleteEmails},
	} {
		n, err := step.remove(ctx, ids)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			deleted[step.table] = n
		}
	}
	return deleted, nil
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
