-- Rows are found by ids. The tenant is compared in a form that no index has, so that a planner
-- which has not seen the tables grow can not think of walking all that the tenant has (ADR 9).

-- name: ListDueRecipients :many
-- Recipients of a dispatch whose turn it is. Those in sending were cut off: only one
-- Deliver works on a dispatch at a time, and it has just begun.
SELECT r.*, e.expires_at FROM emails e JOIN recipients r ON r.email_id = e.id
WHERE e.dispatch_id = @dispatch_id::uuid AND r.tenant_id || '' = @tenant_id::text
    AND (r.status IN ('queued', 'sending') OR (r.status = 'deferred' AND r.next_attempt_at <= @now))
ORDER BY r.id
LIMIT @count;

-- name: GetDispatchProgress :one
SELECT count(*) FILTER (WHERE r.status = 'sent') AS sent,
    count(*) FILTER (WHERE r.status = 'bounced') AS bounced,
    count(*) FILTER (WHERE r.status = 'failed') AS failed,
    count(*) FILTER (WHERE r.status = 'unknown') AS unknown,
    count(*) FILTER (WHERE r.status = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE r.status = 'expired') AS expired,
    count(*) FILTER (WHERE r.status = 'deferred') AS deferred,
    count(*) FILTER (WHERE r.status IN ('queued', 'sending')) AS queued,
    coalesce(min(r.next_attempt_at) FILTER (WHERE r.status = 'deferred'), to_timestamp(0))::timestamptz AS next_attempt_at
FROM emails e JOIN recipients r ON r.email_id = e.id
WHERE e.dispatch_id = @dispatch_id::uuid AND r.tenant_id || '' = @tenant_id::text;

-- name: ListEmailsToCompose :many
SELECT e.*, c.content
FROM (SELECT unnest(@ids::uuid[]) AS id) i JOIN emails e ON e.id = i.id JOIN email_contents c ON c.email_id = i.id
WHERE e.tenant_id || '' = @tenant_id::text AND c.tenant_id || '' = @tenant_id::text;

-- name: StartAttempts :many
-- Writes the ledger before any hand-over. A recipient that has changed since it was loaded
-- (another worker has claimed it, it was cancelled, a retry has moved it to another dispatch) is left out.
WITH seen AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@seen::timestamptz[]) AS updated_at
), claimed AS (
    UPDATE recipients r
    SET status = 'sending', attempts = r.attempts + 1, next_attempt_at = NULL, updated_at = @now
    FROM seen s
    WHERE r.id = s.id AND r.tenant_id || '' = @tenant_id::text AND r.updated_at = s.updated_at AND r.status IN ('queued', 'deferred')
    RETURNING r.id, r.attempts
)
INSERT INTO attempts (tenant_id, recipient_id, number, started_at)
SELECT @tenant_id, id, attempts, @now FROM claimed
RETURNING recipient_id, number;

-- name: FinishAttempts :exec
-- Writes outcomes, each at most once.
WITH outcome AS (
    SELECT unnest(@recipient_ids::uuid[]) AS recipient_id, unnest(@numbers::integer[]) AS number,
        unnest(@finished_at::timestamptz[]) AS finished_at, unnest(@verdicts::text[]) AS verdict,
        unnest(@phases::text[]) AS phase, unnest(@codes::integer[]) AS code,
        unnest(@enhanced::text[]) AS enhanced, unnest(@replies::text[]) AS reply,
        unnest(@peers::text[]) AS peer, unnest(@tls::boolean[]) AS tls, unnest(@dialogues::text[]) AS dialogue,
        unnest(@statuses::text[]) AS status, unnest(@next_attempts::timestamptz[]) AS next_attempt_at,
        unnest(@reasons::text[]) AS reason
), finished AS (
    UPDATE attempts a
    SET finished_at = o.finished_at, verdict = o.verdict, phase = o.phase, code = o.code,
        enhanced = o.enhanced, reply = o.reply, peer = o.peer, tls = o.tls, dialogue = o.dialogue
    FROM outcome o
    WHERE a.recipient_id = o.recipient_id AND a.number = o.number AND a.tenant_id || '' = @tenant_id::text AND a.finished_at IS NULL
    RETURNING o.*
), told AS (
    UPDATE recipients r
    SET status = f.status, reason = f.reason, detail = f.reply, updated_at = f.finished_at,
        next_attempt_at = CASE WHEN f.status = 'deferred' THEN f.next_attempt_at END
    FROM finished f
    WHERE r.id = f.recipient_id AND r.tenant_id || '' = @tenant_id::text AND r.attempts = f.number
    RETURNING r.*
)
INSERT INTO events (tenant_id, type, email_id, recipient_id, attempt, data, created_at)
SELECT t.tenant_id, 'email.' || t.status, t.email_id, t.id, t.attempts,
    CASE WHEN t.next_attempt_at IS NOT NULL THEN jsonb_build_object('nextAttemptAt', t.next_attempt_at) END, t.updated_at
FROM told t WHERE t.status <> 'queued';

-- name: SettleCutOff :exec
-- The attempts of these recipients ended without a known outcome.
WITH finished AS (
    UPDATE attempts a SET finished_at = @now, verdict = 'unknown'
    WHERE a.tenant_id = @tenant_id AND a.recipient_id = ANY(@ids::uuid[]) AND a.finished_at IS NULL
), told AS (
    UPDATE recipients r
    SET status = @status, reason = 'cut_off', detail = 'the attempt was cut off before its outcome was known', updated_at = @now
    WHERE r.tenant_id = @tenant_id AND r.id = ANY(@ids::uuid[]) AND r.status = 'sending'
    RETURNING r.*
)
INSERT INTO events (tenant_id, type, email_id, recipient_id, attempt, created_at)
SELECT t.tenant_id, 'email.unknown', t.email_id, t.id, t.attempts, @now FROM told t;

-- name: ExpireRecipients :exec
-- These recipients' emails expired before their turn came.
WITH told AS (
    UPDATE recipients r SET status = 'expired', next_attempt_at = NULL, updated_at = @now
    WHERE r.tenant_id = @tenant_id AND r.id = ANY(@ids::uuid[]) AND r.status IN ('queued', 'deferred')
    RETURNING r.*
)
INSERT INTO events (tenant_id, type, email_id, recipient_id, created_at)
SELECT t.tenant_id, 'email.expired', t.email_id, t.id, @now FROM told t;
