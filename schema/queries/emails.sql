-- name: GetEmail :one
SELECT e.*, d.run_id, d.created_at AS dispatched_at
FROM emails e LEFT JOIN dispatches d ON d.tenant_id = e.tenant_id AND d.id = e.dispatch_id
WHERE e.tenant_id = @tenant_id AND e.id = @id;

-- name: ListEmailsAfter :many
SELECT e.*, d.run_id, d.created_at AS dispatched_at
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
WHERE tenant_id || '' = @tenant_id::text AND email_id = ANY(@email_ids::uuid[])
ORDER BY position;

-- name: ListAttempts :many
SELECT a.* FROM attempts a JOIN recipients r ON r.tenant_id = a.tenant_id AND r.id = a.recipient_id
WHERE a.tenant_id = @tenant_id AND r.email_id = @email_id
ORDER BY a.started_at, r.position, a.number;

-- name: GetDailyUsage :one
SELECT reserved FROM daily_usage WHERE tenant_id = @tenant_id AND day = @day;

-- name: GetBacklog :one
SELECT count(*) AS recipients, coalesce(min(e.created_at), to_timestamp(0))::timestamptz AS oldest
FROM (
    SELECT e.id, e.created_at FROM dispatches d JOIN emails e ON e.dispatch_id = d.id
    WHERE d.tenant_id = @tenant_id AND d.finished_at IS NULL
    UNION ALL
    SELECT id, created_at FROM emails WHERE tenant_id = @tenant_id AND dispatch_id IS NULL AND release_at IS NULL
) e JOIN recipients r ON r.email_id = e.id
WHERE r.status IN ('queued', 'sending', 'deferred');

-- name: CountHeld :one
SELECT count(*)::bigint FROM emails e JOIN recipients r ON r.email_id = e.id
WHERE e.tenant_id = @tenant_id AND e.release_at IS NOT NULL AND r.status = 'held';
