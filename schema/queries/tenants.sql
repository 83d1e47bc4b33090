-- name: InsertTenant :one
INSERT INTO tenants (id, name, domain, settings)
VALUES (@id, @name, @domain, @settings)
RETURNING *;

-- name: GetTenant :one
SELECT * FROM tenants WHERE id = @id;

-- name: LockTenant :one
SELECT * FROM tenants WHERE id = @id FOR UPDATE;

-- name: UpdateTenant :one
UPDATE tenants
SET name = @name, domain = @domain, settings = @settings, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: ActivateTenant :execrows
UPDATE tenants SET status = 'active', version = version + 1, updated_at = now()
WHERE id = @id AND status = 'provisioning';

-- name: FenceTenant :exec
UPDATE tenants SET status = 'deleting', version = version + 1, updated_at = now() WHERE id = @id;

-- name: RestoreTenant :one
-- Its workflow is to wake what waits.
UPDATE tenants SET status = @status, followed = false, version = version + 1, updated_at = now()
WHERE id = @id AND status = 'deleting' RETURNING *;

-- name: ListStaleProvisioning :many
SELECT id FROM tenants WHERE status = 'provisioning' AND created_at < @before ORDER BY created_at LIMIT 100;

-- name: DeleteTenant :execrows
DELETE FROM tenants WHERE id = @id AND status = 'deleting';
