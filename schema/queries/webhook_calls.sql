-- name: HaveWebhooks :one
SELECT EXISTS (SELECT FROM webhooks WHERE enabled);

-- name: WakeWebhooks :many
-- Webhooks with something to do, claimed for a while. None are of a tenant that is being deleted. Where nothing of what has happened is
-- of its events, the webhook is only taken past it.
WITH behind AS MATERIALIZED (
    SELECT w.tenant_id, w.id, w.cursor, w.events, h.horizon, d.due
    FROM webhooks w JOIN tenants t ON t.id = w.tenant_id AND t.status <> 'deleting'
        CROSS JOIN (SELECT events_horizon() AS horizon OFFSET 0) h
        CROSS JOIN LATERAL (SELECT (SELECT r.next_at FROM webhook_retries r
            WHERE r.tenant_id = w.tenant_id AND r.webhook_id = w.id ORDER BY r.next_at LIMIT 1) <= @now IS TRUE AS due OFFSET 0) d
    WHERE w.enabled AND w.quiet_until <= @now
        AND (d.due OR EXISTS (SELECT FROM events v WHERE v.tenant_id = w.tenant_id AND v.id > w.cursor AND v.id < h.horizon))
    ORDER BY w.quiet_until LIMIT @count
    FOR NO KEY UPDATE OF w SKIP LOCKED
), looked AS MATERIALIZED (
    SELECT b.tenant_id, b.id, b.horizon, b.due OR EXISTS (
        SELECT FROM events v
        WHERE v.tenant_id = b.tenant_id AND v.id > b.cursor AND v.id < b.horizon AND webhook_wants(b.events, v.type)) AS due
    FROM behind b
)
UPDATE webhooks w
SET cursor = CASE WHEN l.due THEN w.cursor ELSE greatest(w.cursor, l.horizon) END,
    quiet_until = CASE WHEN l.due THEN @until ELSE w.quiet_until END
FROM looked l WHERE w.tenant_id = l.tenant_id AND w.id = l.id
RETURNING w.tenant_id, w.id, l.due::boolean AS due;

-- name: ClaimWebhook :one
-- The webhook, for a workflow that is at it, unless its tenant is being deleted.
UPDATE webhooks w SET quiet_until = greatest(w.quiet_until, @until)
WHERE w.tenant_id = @tenant_id AND w.id = @id AND EXISTS (SELECT FROM tenants t WHERE t.id = @tenant_id AND t.status <> 'deleting')
RETURNING *;

-- name: ListWebhookEvents :many
-- The next events for a webhook. What belongs to them is found by its id, one by one: the
-- || keeps the planner from reading all that a tenant has.
SELECT v.id, v.type, v.email_id, v.recipient_id, v.attempt, v.data, v.created_at,
    e.subject, e.tags, e.template_id, r.kind, r.address, a.code, a.enhanced, a.reply
FROM events v
    LEFT JOIN emails e ON e.id = v.email_id AND e.tenant_id || '' = v.tenant_id
    LEFT JOIN recipients r ON r.id = v.recipient_id AND r.tenant_id || '' = v.tenant_id
    LEFT JOIN attempts a ON a.recipient_id = v.recipient_id AND a.number = v.attempt AND a.tenant_id || '' = v.tenant_id
WHERE v.tenant_id = @tenant_id AND v.id > @after_id AND v.id < @horizon AND webhook_wants(@events::text[], v.type)
ORDER BY v.id
LIMIT @count;

-- name: EventsHorizon :one
SELECT events_horizon()::uuid;

-- name: ListDueRetries :many
-- Calls that are due, the longest overdue first.
SELECT q.attempts, v.id, v.type, v.email_id, v.recipient_id, v.attempt, v.data, v.created_at,
    e.subject, e.tags, e.template_id, r.kind, r.address, a.code, a.enhanced, a.reply
FROM (
    SELECT d.tenant_id, d.event_id, d.attempts, d.next_at FROM webhook_retries d
    WHERE d.tenant_id = @tenant_id AND d.webhook_id = @webhook_id AND d.next_at <= @now
    ORDER BY d.next_at, d.event_id LIMIT @count) q
    CROSS JOIN LATERAL (SELECT o.* FROM events o WHERE o.tenant_id = q.tenant_id AND o.id = q.event_id OFFSET 0) v
    LEFT JOIN emails e ON e.id = v.email_id AND e.tenant_id || '' = v.tenant_id
    LEFT JOIN recipients r ON r.id = v.recipient_id AND r.tenant_id || '' = v.tenant_id
    LEFT JOIN attempts a ON a.recipient_id = v.recipient_id AND a.number = v.attempt AND a.tenant_id || '' = v.tenant_id
ORDER BY q.next_at, q.event_id;

-- name: WebhookStanding :one
-- What waits for another call, and when the next of it is due.
SELECT count(*)::integer AS waiting, coalesce(min(next_at), 'epoch')::timestamptz AS next_at
FROM webhook_retries WHERE tenant_id = @tenant_id AND webhook_id = @webhook_id;

-- name: WriteWebhookCalls :exec
-- What became of calls: a row in the log for each, another try for those that failed, and
-- how far the webhook has come.
WITH called AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@attempts::integer[]) AS attempt, unnest(@started::timestamptz[]) AS started_at, unnest(@durations::integer[]) AS duration_ms,
        unnest(@status_codes::integer[]) AS status_code, unnest(@responses::text[]) AS response, unnest(@errors::text[]) AS error,
        unnest(@next_at::timestamptz[]) AS next_at
), log AS (
    INSERT INTO webhook_deliveries (tenant_id, webhook_id, id, event_id, event_type, attempt, started_at, duration_ms, status_code, response, error, next_at)
    SELECT @tenant_id, @webhook_id, c.id, c.event_id, c.event_type, c.attempt, c.started_at, c.duration_ms, nullif(c.status_code, 0), c.response, c.error,
        nullif(c.next_at, 'epoch') FROM called c
), again AS (
    INSERT INTO webhook_retries (tenant_id, webhook_id, event_id, attempts, next_at)
    SELECT @tenant_id, @webhook_id, c.event_id, c.attempt, c.next_at FROM called c WHERE c.next_at <> 'epoch'
    ON CONFLICT (tenant_id, webhook_id, event_id) DO UPDATE SET attempts = excluded.attempts, next_at = excluded.next_at
), done AS (
    DELETE FROM webhook_retries q
    WHERE q.tenant_id = @tenant_id AND q.webhook_id = @webhook_id
        AND q.event_id = ANY (ARRAY(SELECT c.event_id FROM called c WHERE c.next_at = 'epoch'))
)
UPDATE webhooks w SET cursor = greatest(w.cursor, @cursor), failures = @failures, failing_since = sqlc.narg(failing_since)::timestamptz
WHERE w.tenant_id = @tenant_id AND w.id = @webhook_id;

-- name: RestWebhook :exec
-- The workflow looks away: until then, nobody need look.
UPDATE webhooks SET quiet_until = @until WHERE tenant_id = @tenant_id AND id = @id;
