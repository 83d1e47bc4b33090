-- name: InsertAPIKey :one
INSERT INTO api_keys (id, tenant_id, name, prefix, hash)
VALUES (@id, sqlc.narg(tenant_id)::text, @name, @prefix, @hash)
RETURNING *;

-- name: GetAPIKeyByPrefix :one
-- The key with its tenant's status; the tenant columns are null for an operator key.
SELECT k.id, k.tenant_id, k.hash, k.revoked_at, t.status AS tenant_status
FROM api_keys k LEFT JOIN tenants t ON t.id = k.tenant_id
WHERE k.prefix = @prefix;

-- name: ListTenantAPIKeys :many
SELECT * FROM api_keys WHERE tenant_id = @tenant_id::text AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: ListOperatorAPIKeys :many
SELECT * FROM api_keys WHERE tenant_id IS NULL AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: RevokeTenantAPIKey :execrows
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id AND tenant_id = @tenant_id::text;

-- name: RevokeOperatorAPIKey :execrows
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id AND tenant_id IS NULL;

-- name: RevokeAllTenantAPIKeys :exec
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = @tenant_id::text;

-- name: CountOperatorAPIKeys :one
SELECT count(*) FROM api_keys WHERE tenant_id IS NULL AND revoked_at IS NULL;
