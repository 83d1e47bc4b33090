-- name: LockTenantWebhooks :exec
-- One at a time makes webhooks of a tenant, so that they can be counted.
SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || @tenant_id::text, 0));

-- name: CountWebhooks :one
SELECT count(*)::integer FROM webhooks WHERE tenant_id = @tenant_id;

-- name: InsertWebhook :one
-- It is told of what happens from now on.
INSERT INTO webhooks (tenant_id, id, url, events, enabled, disabled_reason, disabled_at, secret, cursor, quiet_until, created_at, updated_at)
VALUES (@tenant_id, @id, @url, @events, @enabled, @disabled_reason, @disabled_at, @secret, events_horizon(), @now, @now, @now)
RETURNING *;

-- name: GetWebhook :one
SELECT * FROM webhooks WHERE tenant_id = @tenant_id AND id = @id;

-- name: LockWebhook :one
SELECT * FROM webhooks WHERE tenant_id = @tenant_id AND id = @id FOR NO KEY UPDATE;

-- name: ListWebhooks :many
SELECT * FROM webhooks WHERE tenant_id = @tenant_id AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: UpdateWebhook :one
UPDATE webhooks SET url = @url, events = @events, updated_at = @now WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: EnableWebhook :one
-- It is told of what happens from now on: of what has happened meanwhile by a replay.
UPDATE webhooks SET enabled = true, disabled_reason = NULL, disabled_at = NULL, failures = 0, failing_since = NULL,
    cursor = greatest(cursor, events_horizon()), quiet_until = @now, updated_at = @now
WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: DisableWebhook :one
UPDATE webhooks SET enabled = false, disabled_reason = @reason::text, disabled_at = @now::timestamptz, updated_at = @now::timestamptz
WHERE tenant_id = @tenant_id AND id = @id AND enabled
RETURNING *;

-- name: InsertWebhookDisabled :exec
INSERT INTO events (tenant_id, type, data, created_at) VALUES (@tenant_id, 'webhook.disabled', @data, @now);

-- name: DeleteWebhookRetries :exec
DELETE FROM webhook_retries WHERE tenant_id = @tenant_id AND webhook_id = @webhook_id;

-- name: DeleteWebhook :execrows
DELETE FROM webhooks WHERE tenant_id = @tenant_id AND id = @id;

-- name: RotateWebhookSecret :one
UPDATE webhooks SET secret = @secret, old_secret = sqlc.narg(old_secret)::bytea, old_secret_ends = sqlc.narg(old_secret_ends)::timestamptz,
    updated_at = @now::timestamptz
WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: WakeWebhook :exec
UPDATE webhooks SET quiet_until = @now WHERE tenant_id = @tenant_id AND id = @id;

-- name: ReplayEvents :many
-- What waits already is only made due. Without a look at the types: these events were named.
INSERT INTO webhook_retries (tenant_id, webhook_id, event_id, attempts, next_at)
SELECT v.tenant_id, @webhook_id, v.id, 0, @now FROM events v WHERE v.tenant_id = @tenant_id AND v.id = ANY(@ids::uuid[]) AND v.id < events_horizon()
ON CONFLICT (tenant_id, webhook_id, event_id) DO UPDATE SET next_at = least(webhook_retries.next_at, excluded.next_at)
RETURNING event_id;

-- name: ReplayRange :one
-- Those of its events that are behind one and not behind another, the oldest first; last is where the next part begins.
WITH chosen AS (
    SELECT v.tenant_id, v.id FROM events v JOIN webhooks w ON w.tenant_id = v.tenant_id AND w.id = @webhook_id
    WHERE v.tenant_id = @tenant_id AND v.id > @after_id AND v.id <= @until_id AND v.id < events_horizon() AND webhook_wants(w.events, v.type)
    ORDER BY v.id LIMIT @count
), queued AS (
    INSERT INTO webhook_retries (tenant_id, webhook_id, event_id, attempts, next_at)
    SELECT c.tenant_id, @webhook_id, c.id, 0, @now FROM chosen c
    ON CONFLICT (tenant_id, webhook_id, event_id) DO UPDATE SET next_at = least(webhook_retries.next_at, excluded.next_at)
)
SELECT count(*)::integer AS events, coalesce((SELECT c.id FROM chosen c ORDER BY c.id DESC LIMIT 1), @until_id)::uuid AS last FROM chosen;

-- name: ListWebhookDeliveries :many
SELECT * FROM webhook_deliveries
WHERE tenant_id = @tenant_id AND webhook_id = @webhook_id AND id < @after_id
    AND (sqlc.narg(event_id)::uuid IS NULL OR event_id = sqlc.narg(event_id)::uuid)
    AND (NOT @failed::boolean OR error <> '')
ORDER BY id DESC LIMIT @count;

-- name: ForgetWebhookDeliveries :execrows
DELETE FROM webhook_deliveries WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM webhook_deliveries d WHERE d.started_at < @before LIMIT @count));
