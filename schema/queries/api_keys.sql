-- name: InsertAPIKey :one
INSERT INTO api_keys (id, tenant_id, name, prefix, hash, expires_at, scopes, allowed_cidrs)
VALUES (@id, sqlc.narg(tenant_id)::text, @name, @prefix, @hash, sqlc.narg(expires_at)::timestamptz, sqlc.narg(scopes)::text[],
    sqlc.narg(allowed_cidrs)::cidr[])
RETURNING *;

-- name: GetAPIKeyByPrefix :one
-- The key with its tenant's status; the tenant columns are null for an operator key.
SELECT k.id, k.tenant_id, k.hash, k.revoked_at, k.expires_at, k.scopes, k.allowed_cidrs, t.status AS tenant_status
FROM api_keys k LEFT JOIN tenants t ON t.id = k.tenant_id
WHERE k.prefix = @prefix;

-- name: ListTenantAPIKeys :many
SELECT * FROM api_keys WHERE tenant_id = @tenant_id::text AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: ListOperatorAPIKeys :many
SELECT * FROM api_keys WHERE tenant_id IS NULL AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: GetTenantAPIKey :one
SELECT * FROM api_keys WHERE id = @id AND tenant_id = @tenant_id::text;

-- name: GetOperatorAPIKey :one
SELECT * FROM api_keys WHERE id = @id AND tenant_id IS NULL;

-- name: RevokeAPIKey :one
UPDATE api_keys SET revoked_at = now() WHERE id = @id RETURNING *;

-- name: LockTenantAPIKey :one
SELECT * FROM api_keys WHERE id = @id AND tenant_id = @tenant_id::text FOR NO KEY UPDATE;

-- name: LockOperatorAPIKey :one
SELECT * FROM api_keys WHERE id = @id AND tenant_id IS NULL FOR NO KEY UPDATE;

-- name: ReplaceAPIKey :one
-- The key ends when it was to end, or before that at the end of the overlap.
UPDATE api_keys SET replaced_by = @replaced_by::uuid, expires_at = least(expires_at, @ends_at::timestamptz) WHERE id = @id
RETURNING *;

-- name: TouchAPIKeys :exec
-- A key that is being changed is left out: its next use counts.
UPDATE api_keys SET last_used_at = greatest(last_used_at, @used_at::timestamptz)
WHERE id IN (SELECT id FROM api_keys WHERE id = ANY(@ids::uuid[]) FOR NO KEY UPDATE SKIP LOCKED);

-- name: CountOperatorAPIKeys :one
SELECT count(*) FROM api_keys WHERE tenant_id IS NULL AND revoked_at IS NULL;
