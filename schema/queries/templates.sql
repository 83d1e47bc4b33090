-- name: InsertTemplate :one
INSERT INTO templates (tenant_id, id, name) VALUES (@tenant_id, @id, @name) RETURNING *;

-- name: InsertTemplateVersion :exec
INSERT INTO template_versions (tenant_id, template_id, version, subject, html, text, variables, required)
VALUES (@tenant_id, @template_id, @version, @subject, @html, @text, @variables, @required);

-- name: LockTemplateByName :one
SELECT * FROM templates WHERE tenant_id = @tenant_id AND name = @name AND deleted_at IS NULL FOR UPDATE;

-- name: BumpTemplate :one
UPDATE templates SET version = version + 1, updated_at = now()
WHERE tenant_id = @tenant_id AND id = @id
RETURNING *;

-- name: GetTemplateByName :one
SELECT sqlc.embed(t), sqlc.embed(v)
FROM templates t JOIN template_versions v
    ON v.tenant_id = t.tenant_id AND v.template_id = t.id AND v.version = t.version
WHERE t.tenant_id = @tenant_id AND t.name = @name AND t.deleted_at IS NULL;

-- name: ListTemplatesAfter :many
SELECT sqlc.embed(t), sqlc.embed(v)
FROM templates t JOIN template_versions v
    ON v.tenant_id = t.tenant_id AND v.template_id = t.id AND v.version = t.version
WHERE t.tenant_id = @tenant_id AND t.deleted_at IS NULL AND t.id < @after_id
ORDER BY t.id DESC
LIMIT @count;

-- name: DeleteTemplateByName :execrows
UPDATE templates SET deleted_at = now()
WHERE tenant_id = @tenant_id AND name = @name AND deleted_at IS NULL;

-- name: ListTemplateVersions :many
-- The versions that are named by two arrays of equal length.
SELECT v.* FROM template_versions v
WHERE v.tenant_id = @tenant_id AND (v.template_id, v.version) IN
    (SELECT unnest(@template_ids::uuid[]), unnest(@versions::integer[]));
