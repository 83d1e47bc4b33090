-- name: ReleaseEmails :many
-- Gives emails whose time has come to the dispatchers, in order; what another process is
-- releasing is left to it.
WITH due AS (
    SELECT tenant_id, id, release_at FROM emails WHERE release_at <= @now::timestamptz
    ORDER BY release_at, id LIMIT @count FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE emails e SET release_at = NULL, retried_at = @now FROM due d WHERE e.tenant_id = d.tenant_id AND e.id = d.id
    RETURNING e.tenant_id, e.id, e.trace_parent, e.class, d.release_at
), queued AS (
    UPDATE recipients r SET status = 'queued', updated_at = @now
    FROM released e WHERE r.tenant_id = e.tenant_id AND r.email_id = e.id AND r.status IN ('scheduled', 'held')
)
SELECT e.tenant_id, e.id, e.trace_parent, e.class, coalesce((t.settings ->> 'weight')::real, 1)::real AS weight
FROM released e JOIN tenants t ON t.id = e.tenant_id
ORDER BY e.release_at, e.id;

-- name: LockEmail :one
SELECT * FROM emails WHERE tenant_id = @tenant_id AND id = @id FOR UPDATE;

-- name: CancelRecipients :many
-- Ends what is not under way and not final, and tells how many attempts each has had.
WITH cancelled AS (
    UPDATE recipients r SET status = 'cancelled', next_attempt_at = NULL, updated_at = @now
    WHERE r.tenant_id = @tenant_id AND r.email_id = @email_id AND r.status IN ('scheduled', 'held', 'queued', 'deferred')
    RETURNING r.*
), told AS (
    INSERT INTO events (tenant_id, type, email_id, recipient_id, created_at)
    SELECT c.tenant_id, 'email.cancelled', c.email_id, c.id, @now FROM cancelled c
)
SELECT attempts FROM cancelled;

-- name: RetryRecipients :execrows
UPDATE recipients SET status = 'queued', next_attempt_at = NULL, updated_at = @now
WHERE tenant_id = @tenant_id AND email_id = @email_id AND status IN ('deferred', 'failed', 'expired', 'unknown');

-- name: TouchQueuedRecipients :exec
-- Whoever has loaded recipients of the email for the dispatch that it is about to leave does not
-- claim them any more; whoever has claimed one before is seen afterwards.
UPDATE recipients SET updated_at = @now WHERE tenant_id = @tenant_id AND email_id = @email_id AND status = 'queued';

-- name: IsBeingSent :one
SELECT EXISTS (SELECT FROM recipients WHERE tenant_id = @tenant_id AND email_id = @email_id AND status = 'sending');

-- name: SetEmailRelease :exec
UPDATE emails SET scheduled_at = @scheduled_at, release_at = @release_at, usage_day = @usage_day, held = @held
WHERE tenant_id = @tenant_id AND id = @id;

-- name: StopEmail :exec
-- No dispatcher comes to it any more.
UPDATE emails SET release_at = '9999-12-31Z' WHERE tenant_id = @tenant_id AND id = @id AND dispatch_id IS NULL;

-- name: DetachEmail :exec
-- The email is to be in a new dispatch.
UPDATE emails SET dispatch_id = NULL, release_at = NULL, retried_at = @now,
    expires_at = CASE WHEN expires_at > @now THEN expires_at END
WHERE tenant_id = @tenant_id AND id = @id;

-- name: RescheduleRecipients :exec
WITH told AS (
    UPDATE recipients r SET status = @status, updated_at = @now
    WHERE r.tenant_id = @tenant_id AND r.email_id = @email_id AND r.status IN ('scheduled', 'held')
    RETURNING r.*
)
INSERT INTO events (tenant_id, type, email_id, recipient_id, data, created_at)
SELECT t.tenant_id, 'email.scheduled', t.email_id, t.id, jsonb_build_object('scheduledAt', @scheduled_at::timestamptz), @now FROM told t;

-- name: ListHeldEmails :many
-- Emails of a tenant that are held for a day with room, in order, with the number of their
-- recipients; locked, so that none is released on a day that is about to be changed.
SELECT e.id, e.usage_day, e.scheduled_at, e.expires_at, h.recipients
FROM emails e CROSS JOIN LATERAL (
    SELECT count(*)::integer AS recipients FROM recipients r
    WHERE r.tenant_id = e.tenant_id AND r.email_id = e.id AND r.status = 'held') h
WHERE e.tenant_id = @tenant_id AND e.release_at IS NOT NULL AND h.recipients > 0
ORDER BY e.id FOR UPDATE OF e;

-- name: SetHeldEmails :exec
-- Gives held emails new days and times.
UPDATE emails e SET usage_day = n.day, release_at = n.release_at
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@days::date[]) AS day, unnest(@release_at::timestamptz[]) AS release_at) n
WHERE e.tenant_id = @tenant_id AND e.id = n.id AND e.release_at IS NOT NULL;
