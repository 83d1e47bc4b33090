-- name: LockTenantDomains :exec
-- One at a time makes domains of a tenant, so that they can be counted.
SELECT pg_advisory_xact_lock(hashtextextended('domains ' || @tenant_id::text, 0));

-- name: CountDomains :one
SELECT count(*)::integer FROM domains WHERE tenant_id = @tenant_id;

-- name: InsertDomain :one
INSERT INTO domains (tenant_id, id, name, check_at, created_at, updated_at) VALUES (@tenant_id, @id, @name, @now, @now, @now)
RETURNING *;

-- name: InsertDomainKey :exec
INSERT INTO domain_keys (tenant_id, domain_id, selector, generation, algorithm, record, private_key, created_at)
VALUES (@tenant_id, @domain_id, @selector, @generation, @algorithm, @record, @private_key, @now);

-- name: GetDomain :one
SELECT * FROM domains WHERE tenant_id = @tenant_id AND name = @name;

-- name: LockDomain :one
SELECT * FROM domains WHERE tenant_id = @tenant_id AND name = @name FOR NO KEY UPDATE;

-- name: GetDomainByID :one
SELECT * FROM domains WHERE tenant_id = @tenant_id AND id = @id;

-- name: LockDomainByID :one
SELECT * FROM domains WHERE tenant_id = @tenant_id AND id = @id FOR NO KEY UPDATE;

-- name: ListDomains :many
SELECT * FROM domains WHERE tenant_id = @tenant_id AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: ListDomainKeys :many
-- Without their private halves, the newest first.
SELECT domain_id, selector, generation, algorithm, record, seen_at, retired_at, created_at FROM domain_keys
WHERE tenant_id = @tenant_id AND domain_id = ANY(@domain_ids::uuid[])
ORDER BY domain_id, generation DESC, algorithm DESC;

-- name: DeleteUnseenDomainKeys :exec
DELETE FROM domain_keys WHERE tenant_id = @tenant_id AND domain_id = @domain_id AND seen_at IS NULL;

-- name: RestartDomain :one
-- Something is to be seen soon.
UPDATE domains SET looks = 0, check_at = @now, updated_at = @now WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: SetDomainLook :one
-- What was looked at is no change of the domain.
UPDATE domains SET status = @status::text, verified_at = sqlc.narg(verified_at)::timestamptz, failing_since = sqlc.narg(failing_since)::timestamptz,
    answers = @answers::jsonb, looks = @looks::integer, checked_at = @now::timestamptz, check_at = @check_at::timestamptz,
    updated_at = CASE WHEN status = @status::text THEN updated_at ELSE @now::timestamptz END
WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: SetDomainKey :exec
UPDATE domain_keys SET seen_at = @seen_at::timestamptz, retired_at = sqlc.narg(retired_at)::timestamptz
WHERE tenant_id = @tenant_id AND domain_id = @domain_id AND selector = @selector;

-- name: DeleteDomainKey :exec
DELETE FROM domain_keys WHERE tenant_id = @tenant_id AND domain_id = @domain_id AND selector = @selector;

-- name: IsDomainTaken :one
SELECT EXISTS (SELECT FROM domains WHERE name = @name AND status IN ('verified', 'failing') AND tenant_id <> @tenant_id) AS taken;

-- name: DeleteDomain :execrows
DELETE FROM domains WHERE tenant_id = @tenant_id AND id = @id;

-- name: SetSenders :exec
-- Behind the lock of the tenant.
UPDATE tenants SET version = version + 1, senders = CASE
    WHEN EXISTS (SELECT FROM domains d WHERE d.tenant_id = tenants.id AND d.status IN ('verified', 'failing')) THEN version + 1 ELSE 0 END
WHERE tenants.id = @tenant_id;

-- name: ListSenderDomains :many
SELECT name FROM domains WHERE tenant_id = @tenant_id AND status IN ('verified', 'failing') ORDER BY name;

-- name: ListSigningKeys :many
SELECT d.id, d.name, k.selector, k.private_key FROM domains d JOIN domain_keys k ON k.tenant_id = d.tenant_id AND k.domain_id = d.id
WHERE d.tenant_id = @tenant_id AND d.status IN ('verified', 'failing') AND k.seen_at IS NOT NULL AND k.retired_at IS NULL
ORDER BY d.name, k.algorithm DESC;

-- name: ClaimUnwatchedDomains :many
-- Domains whose workflow should have looked, and has not: there is none. For a while they are taken to be seen to.
UPDATE domains SET check_at = @until WHERE (tenant_id, id) IN (
    SELECT d.tenant_id, d.id FROM domains d JOIN tenants t ON t.id = d.tenant_id
    WHERE d.check_at < @before AND t.status <> 'deleting'
    ORDER BY d.check_at LIMIT @count FOR NO KEY UPDATE OF d SKIP LOCKED)
RETURNING tenant_id, id;
