-- name: InsertTenantDeletion :one
INSERT INTO tenant_deletions (id, tenant_id) VALUES (@id, @tenant_id) RETURNING *;

-- name: GetTenantDeletion :one
SELECT * FROM tenant_deletions WHERE id = @id;

-- name: GetRunningDeletion :one
SELECT * FROM tenant_deletions WHERE tenant_id = @tenant_id AND status = 'running';

-- name: SetDeletionRun :exec
UPDATE tenant_deletions SET run_id = @run_id::text WHERE id = @id;

-- name: AddDeletionCount :exec
-- Adds to the count of one table, so that a chunk that is done is counted once it is committed.
UPDATE tenant_deletions
SET counts = jsonb_set(counts, ARRAY[@table_name::text],
    to_jsonb(coalesce((counts ->> @table_name::text)::bigint, 0) + @deleted::bigint))
WHERE id = @id;

-- name: FinishTenantDeletion :exec
UPDATE tenant_deletions SET status = 'completed', finished_at = now() WHERE id = @id AND status = 'running';

-- name: ListStaleDeletions :many
SELECT id, tenant_id FROM tenant_deletions
WHERE status = 'running' AND run_id IS NULL AND created_at < @before
ORDER BY created_at LIMIT 100;
