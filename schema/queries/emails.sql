-- name: GetEmail :one
SELECT e.*, d.run_id
FROM emails e LEFT JOIN dispatches d ON d.tenant_id = e.tenant_id AND d.id = e.dispatch_id
WHERE e.tenant_id = @tenant_id AND e.id = @id;

-- name: ListEmailsAfter :many
SELECT e.*, d.run_id
FROM emails e LEFT JOIN dispatches d ON d.tenant_id = e.tenant_id AND d.id = e.dispatch_id
WHERE e.tenant_id = @tenant_id AND e.id < @after_id
    AND (sqlc.narg(tag)::text IS NULL OR sqlc.narg(tag)::text = ANY(e.tags))
    AND (sqlc.narg(recipient)::text IS NULL OR EXISTS (
        SELECT FROM recipients r
        WHERE r.tenant_id = e.tenant_id AND r.email_id = e.id AND r.address = sqlc.narg(recipient)::text))
    AND (sqlc.narg(status)::text IS NULL OR EXISTS (
        SELECT FROM recipients r
        WHERE r.tenant_id = e.tenant_id AND r.email_id = e.id AND r.status = sqlc.narg(status)::text))
ORDER BY e.id DESC
LIMIT @count;

-- name: ListRecipients :many
SELECT * FROM recipients
WHERE tenant_id = @tenant_id AND email_id = ANY(@email_ids::uuid[])
ORDER BY email_id, position;

-- name: GetDailyUsage :one
SELECT reserved FROM daily_usage WHERE tenant_id = @tenant_id AND day = @day;

-- name: GetBacklog :one
SELECT count(*) AS recipients, coalesce(min(e.created_at), to_timestamp(0))::timestamptz AS oldest
FROM recipients r JOIN emails e ON e.tenant_id = r.tenant_id AND e.id = r.email_id
WHERE r.tenant_id = @tenant_id AND r.status IN ('queued', 'sending', 'deferred');
