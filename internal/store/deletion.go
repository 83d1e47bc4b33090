package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// TenantTables are the tables that DeleteTenantRows empties, children before parents. What
// belongs to emails goes with them.
var TenantTables = []string{
	"emails", "dispatches", "bulk_send_errors", "bulk_send_chunks", "bulk_sends", "events", "daily_usage",
	"template_versions", "templates", "idempotency_keys", "api_keys", "webhook_retries", "webhook_deliveries", "webhooks",
	"domain_keys", "domains",
	"metric_cursors", "metrics", "metric_uniques", // the cursor first: a roller has it locked
}

// GoWithEmails are the tables whose rows go with their emails.
var GoWithEmails = []string{"attempts", "engagements", "recipients", "email_contents"}

// DeleteTenantRows deletes one chunk of one of TenantTables and counts it on the
// deletion's record in the same transaction. It says how many rows of which tables it
// deleted; none: none are left. Of emails a chunk is that many recipients, and the emails that have them.
func (s *Store) DeleteTenantRows(
	ctx context.Context, tenantID string, deletion uuid.UUID, table string, chunk int,
) (deleted map[string]int64, err error) {
	err = s.inSystem(ctx, "delete tenant rows", func(q *db.Queries) error {
		if deleted, err = deleteChunk(ctx, q, tenantID, table, int32(chunk)); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(deleted)) {
			if err := addCount(ctx, q, db.AddDeletionCountParams{ID: deletion, TableName: name, Deleted: deleted[name]}); err != nil {
				return err
			}
		}
		return nil
	})
	return deleted, err
}

// addCount takes the chunk back when the deletion does not run: somebody has been forgotten while he deleted,
// and the tenant of this id may be another by now.
func addCount(ctx context.Context, q *db.Queries, p db.AddDeletionCountParams) error {
	n, err := q.AddDeletionCount(ctx, p)
	if err == nil && n == 0 {
		return fault.New(fault.Internal, "deletion_not_running", "deletion %s", p.ID)
	}
	return err
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
		"domain_keys":        q.DeleteTenantDomainKeys,
		"domains":            q.DeleteTenantDomains,
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

// CountDeletion counts the rows that a tenant has by table, in every table that has rows of tenants. The first count
// is kept as the totals of the deletion. It reads tables to their end, so it holds no lock.
func (s *Store) CountDeletion(ctx context.Context, tenantID string, deletion uuid.UUID) (counts map[string]int64, err error) {
	err = translate("count tenant rows", s.readingAll(ctx, func(tx pgx.Tx) error {
		rows, err := db.New(tx).CountTenantRows(ctx, tenantID)
		counts = make(map[string]int64, len(rows))
		for _, row := range rows {
			counts[row.TableName] = row.Rows
		}
		return err
	}))
	if err != nil {
		return nil, err
	}
	totals, err := json.Marshal(counts)
	if err != nil {
		return nil, translate("encode totals", err)
	}
	return counts, translate("set deletion totals", s.q.SetDeletionTotals(ctx, totals, deletion))
}

// GoWithTenant are the tables that are emptied in the transaction that removes the tenant itself: a worker
// makes their rows for every tenant that there is.
var GoWithTenant = []string{"tenant_summaries", "tenant_outcomes"}

// FinishDeletion removes the tenant itself if nothing else of it is left, and writes the receipt. finished is false
// when there are rows again: the caller deletes once more. Only tables that have an index for it are looked
// at here, behind the tenant's lock; in the others there can be nothing then, by their foreign keys. Whoever calls
// it has counted all of them (CountDeletion).
func (s *Store) FinishDeletion(ctx context.Context, tenantID string, deletion uuid.UUID) (finished bool, err error) {
	err = s.inSystem(ctx, "finish deletion", func(q *db.Queries) error {
		locked, err := q.LockDeletion(ctx, deletion)
		if err != nil {
			return noDeletion(translate("lock deletion", err))
		}
		if finished = locked.TenantDeletion.Status == string(DeletionCompleted); finished {
			return nil
		}
		d, err := toDeletion(locked.TenantDeletion)
		if err != nil {
			return err
		}
		if finished, err = removeTenant(ctx, q, tenantID, d.Rows); err != nil || !finished {
			return err
		}
		return writeReceipt(ctx, q, d, locked.At)
	})
	return finished, err
}

func removeTenant(ctx context.Context, q *db.Queries, tenantID string, counts map[string]int64) (removed bool, err error) {
	if _, err := q.LockTenant(ctx, tenantID); err != nil {
		return false, noTenant(translate("lock tenant", err), tenantID)
	}
	if left, err := q.CountRootRows(ctx, tenantID); err != nil || left > 0 {
		return false, err
	}
	for _, step := range []struct {
		table  string
		remove func(context.Context, string) (int64, error)
	}{
		{"tenant_summaries", q.DeleteTenantSummaries}, {"tenant_outcomes", q.DeleteTenantOutcomes}, {"tenants", q.DeleteTenant},
	} {
		n, err := step.remove(ctx, tenantID)
		if err != nil {
			return false, err
		}
		counts[step.table] += n
	}
	return true, nil
}

// writeReceipt closes the record of a deletion. The receipt names every table, so that it says what was looked at.
func writeReceipt(ctx context.Context, q *db.Queries, d Deletion, at time.Time) error {
	for _, table := range slices.Concat(TenantTables, GoWithEmails, GoWithTenant) {
		d.Rows[table] += 0
	}
	receipt, err := tenant.Receipt{
		DeletionID: id.Deletion.Format(d.ID), TenantID: d.TenantID, RequestedAt: d.CreatedAt.UTC(), StartedAt: d.StartedAt.UTC(),
		FinishedAt: at.UTC(), Rows: d.Rows, VerifiedZero: true,
	}.Seal()
	if err != nil {
		return err
	}
	counts, err := json.Marshal(d.Rows)
	if err != nil {
		return err
	}
	sealed, err := json.Marshal(receipt)
	if err != nil {
		return err
	}
	return q.FinishTenantDeletion(ctx, db.FinishTenantDeletionParams{ID: d.ID, FinishedAt: at, Counts: counts, Receipt: sealed})
}
