-- name: SetSuspension :one
UPDATE tenants SET status = @status, suspension = @suspension, followed = @followed, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: FollowSuspension :exec
-- Unless the tenant was changed since it was looked at.
UPDATE tenants SET followed = true WHERE id = @id AND version = @version AND NOT followed;

-- name: ListSuspended :many
-- Tenants of whom nothing goes out.
SELECT id FROM tenants WHERE status IN ('suspended', 'deleting');

-- name: ListUnfollowed :many
-- Tenants whose suspension was changed before an instant, and whose workflow has not followed.
SELECT id FROM tenants WHERE NOT followed AND updated_at < @before AND status <> 'deleting' ORDER BY updated_at LIMIT 100;

-- name: CountQueuedBefore :one
-- What was queued at an instant and is not handed over: recipients, and lines of bulk sends. What was released later is not counted.
SELECT ((
    SELECT count(*) FROM (
        SELECT e.id, e.created_at, e.retried_at FROM dispatches d JOIN emails e ON e.dispatch_id = d.id
        WHERE d.tenant_id = @tenant_id::text AND d.finished_at IS NULL
        UNION ALL
        SELECT e.id, e.created_at, e.retried_at FROM emails e
        WHERE e.tenant_id = @tenant_id::text AND e.dispatch_id IS NULL AND e.release_at IS NULL
    ) e JOIN recipients r ON r.email_id = e.id
    WHERE r.status IN ('queued', 'sending') AND (e.retried_at IS NULL OR e.retried_at <= @since::timestamptz)
) + (
    SELECT coalesce(sum(c.lines), 0) FROM bulk_sends b JOIN bulk_send_chunks c ON c.tenant_id = b.tenant_id AND c.bulk_send_id = b.id
    WHERE b.tenant_id = @tenant_id::text AND b.status = 'running' AND c.taken_at IS NULL AND c.cancelled_at IS NULL
        AND (c.release_at IS NULL OR c.release_at <= @since::timestamptz)
))::bigint AS queued;

-- name: UndoAttempts :exec
-- Takes back attempts that were stopped before their hand-over, as if they had never begun; a
-- reason, if there is one, is what is waited for.
WITH stopped AS (
    SELECT unnest(@ids::uuid[]) AS recipient_id, unnest(@numbers::integer[]) AS number,
        unnest(@reasons::text[]) AS reason, unnest(@details::text[]) AS detail
), undone AS (
    DELETE FROM attempts a USING stopped s
    WHERE a.recipient_id = s.recipient_id AND a.number = s.number AND a.tenant_id || '' = @tenant_id::text AND a.finished_at IS NULL
    RETURNING a.recipient_id, a.number
)
UPDATE recipients r SET status = 'queued', attempts = r.attempts - 1, updated_at = @now,
    reason = coalesce(nullif(s.reason, ''), r.reason), detail = coalesce(nullif(s.detail, ''), r.detail)
FROM undone u JOIN stopped s ON s.recipient_id = u.recipient_id AND s.number = u.number
WHERE r.id = u.recipient_id AND r.tenant_id || '' = @tenant_id::text AND r.attempts = u.number AND r.status = 'sending';

-- name: ListRunningBulkSends :many
SELECT id FROM bulk_sends WHERE tenant_id = @tenant_id AND status = 'running' ORDER BY id;
