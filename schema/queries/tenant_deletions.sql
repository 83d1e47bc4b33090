-- name: InsertTenantDeletion :one
-- Without grace it runs at once.
INSERT INTO tenant_deletions (id, tenant_id, status_before, status, grace_ends_at, started_at)
SELECT @id, @tenant_id, @status_before, CASE WHEN g.seconds > 0 THEN 'scheduled' ELSE 'running' END,
    CASE WHEN g.seconds > 0 THEN now() + g.seconds * interval '1 second' END, CASE WHEN g.seconds = 0 THEN now() END
FROM (SELECT sqlc.arg(grace)::bigint AS seconds) g
RETURNING *;

-- name: GetTenantDeletion :one
SELECT * FROM tenant_deletions WHERE id = @id;

-- name: GetOpenDeletion :one
SELECT * FROM tenant_deletions WHERE tenant_id = @tenant_id AND status IN ('scheduled', 'running');

-- name: ListDeletionsAfter :many
SELECT * FROM tenant_deletions
WHERE id < @after_id AND (@tenant_id::text = '' OR tenant_id = @tenant_id::text) AND (@status::text = '' OR status = @status::text)
ORDER BY id DESC LIMIT @count;

-- name: ShortenGrace :one
-- The grace of a tenant's deletion never becomes longer.
UPDATE tenant_deletions d SET grace_ends_at = g.ends_at
FROM (SELECT now() + sqlc.arg(grace)::bigint * interval '1 second' AS ends_at) g
WHERE d.tenant_id = @tenant_id AND d.status = 'scheduled' AND d.grace_ends_at > g.ends_at
RETURNING d.*;

-- name: LockDeletion :one
SELECT sqlc.embed(d), now()::timestamptz AS at FROM tenant_deletions d WHERE d.id = @id FOR UPDATE;

-- name: EndGrace :exec
-- From here there is no return.
UPDATE tenant_deletions SET status = 'running', started_at = now() WHERE id = @id AND status = 'scheduled';

-- name: RestoreDeletion :one
UPDATE tenant_deletions SET status = 'restored', finished_at = now()
WHERE tenant_id = @tenant_id AND status = 'scheduled' AND grace_ends_at > now()
RETURNING *;

-- name: IsInGrace :one
-- Whether the rows of a tenant that is being deleted are not touched yet.
SELECT EXISTS (SELECT FROM tenant_deletions WHERE tenant_id = @tenant_id AND status = 'scheduled');

-- name: SetDeletionRun :exec
UPDATE tenant_deletions SET run_id = @run_id::text WHERE id = @id;

-- name: SetDeletionTotals :exec
-- The first count is the one that progress is shown against.
UPDATE tenant_deletions SET totals = coalesce(totals, @totals::jsonb) WHERE id = @id;

-- name: AddDeletionCount :execrows
-- Adds to the count of one table, so that a chunk that is done is counted once it is committed.
UPDATE tenant_deletions
SET counts = jsonb_set(counts, ARRAY[@table_name::text],
    to_jsonb(coalesce((counts ->> @table_name::text)::bigint, 0) + @deleted::bigint))
WHERE id = @id AND status = 'running';

-- name: FinishTenantDeletion :exec
UPDATE tenant_deletions SET status = 'completed', finished_at = @finished_at::timestamptz, counts = @counts, receipt = @receipt::jsonb
WHERE id = @id AND status = 'running';

-- name: ListDeletionsToRun :many
-- Deletions that were asked for before an instant and whose workflow has something to do, or has never been started.
SELECT id, tenant_id, run_id FROM tenant_deletions
WHERE (status = 'running' OR (status = 'scheduled' AND (run_id IS NULL OR grace_ends_at <= now()))) AND created_at < @before
ORDER BY created_at LIMIT 1000;
