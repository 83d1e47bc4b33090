-- name: LockAuditLog :exec
-- Goes over to the role of the log, and lets one transaction after the other add to it.
SELECT set_config('role', 'mailtura_audit', true), pg_advisory_xact_lock(@key::bigint);

-- name: GetAuditHead :one
-- The newest entry, and the time, by the clock of the database: by one for all processes.
SELECT coalesce(h.number, 0)::bigint AS number, coalesce(h.hash, decode(repeat('00', 32), 'hex'))::bytea AS hash,
    clock_timestamp()::timestamptz AS now
FROM (SELECT) one LEFT JOIN (SELECT number, hash FROM audit_log ORDER BY number DESC LIMIT 1) h ON true;

-- name: InsertAuditEntry :exec
INSERT INTO audit_log (number, at, actor_kind, actor_id, action, tenant_id, target, before, after, note, request_id, previous_hash, hash)
VALUES (@number, @at, @actor_kind, @actor_id, @action, sqlc.narg(tenant_id)::text, @target, sqlc.narg(before)::jsonb, sqlc.narg(after)::jsonb,
    @note, @request_id, @previous_hash, @hash);

-- name: BecomeAuditor :exec
SELECT set_config('role', 'mailtura_audit', true);

-- name: ListAuditEntriesBefore :many
-- Newest first. What is null is not asked for.
SELECT * FROM audit_log
WHERE number < @before_number
    AND (sqlc.narg(tenant_id)::text IS NULL OR tenant_id = sqlc.narg(tenant_id)::text)
    AND (sqlc.narg(action)::text IS NULL OR action = sqlc.narg(action)::text)
    AND (sqlc.narg(actor_id)::text IS NULL OR actor_id = sqlc.narg(actor_id)::text)
    AND (sqlc.narg(since)::timestamptz IS NULL OR at >= sqlc.narg(since)::timestamptz)
    AND (sqlc.narg(until)::timestamptz IS NULL OR at < sqlc.narg(until)::timestamptz)
ORDER BY number DESC
LIMIT @count;

-- name: ListAuditEntriesAfter :many
-- The whole log, oldest first.
SELECT * FROM audit_log WHERE number > @after_number ORDER BY number LIMIT @count;
