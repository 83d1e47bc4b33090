-- name: InsertTemplate :one
INSERT INTO templates (tenant_id, id, name, kind) VALUES (@tenant_id, @id, @name, @kind) RETURNING *;

-- name: LockTemplates :exec
-- Saves of one tenant go one after the other: each may change what the next one calls.
SELECT pg_advisory_xact_lock(hashtextextended('mailtura.templates/' || @tenant_id::text, 0));

-- name: InsertTemplateVersion :exec
INSERT INTO template_versions (tenant_id, template_id, version, subject, html, text, mjml, inline_css, partials, variables, required)
VALUES (@tenant_id, @template_id, @version, @subject, @html, @text, @mjml, @inline_css, @partials, @variables, @required);

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

-- name: GetTemplateVersion :one
SELECT sqlc.embed(t), sqlc.embed(v)
FROM templates t JOIN template_versions v ON v.tenant_id = t.tenant_id AND v.template_id = t.id
WHERE t.tenant_id = @tenant_id AND t.name = @name AND t.deleted_at IS NULL AND v.version = @version;

-- name: ListVersionsOfTemplate :many
-- Without their content, of the partials only the versions.
SELECT v.version, v.created_at, v.required,
    (SELECT coalesce(jsonb_object_agg(p.key, p.value -> 'version'), '{}') FROM jsonb_each(v.partials) p)::jsonb AS partials
FROM templates t JOIN template_versions v ON v.tenant_id = t.tenant_id AND v.template_id = t.id
WHERE t.tenant_id = @tenant_id AND t.name = @name AND t.deleted_at IS NULL AND v.version < @before
ORDER BY v.version DESC
LIMIT @count;

-- name: ListPartials :many
-- Partials by their names, at their current versions.
SELECT sqlc.embed(t), sqlc.embed(v)
FROM templates t JOIN template_versions v
    ON v.tenant_id = t.tenant_id AND v.template_id = t.id AND v.version = t.version
WHERE t.tenant_id = @tenant_id AND t.name = ANY(@names::text[]) AND t.kind = 'partial' AND t.deleted_at IS NULL
ORDER BY t.name;

-- name: ListTemplatesCalling :many
-- Templates and partials whose current version calls one of the partials, directly or not.
SELECT sqlc.embed(t), sqlc.embed(v)
FROM templates t JOIN template_versions v
    ON v.tenant_id = t.tenant_id AND v.template_id = t.id AND v.version = t.version
WHERE t.tenant_id = @tenant_id AND t.deleted_at IS NULL AND jsonb_exists(v.partials, @name)
ORDER BY t.name
LIMIT @count;

-- name: CountTemplatesCalling :one
-- By how many the most called of the partials is called.
SELECT coalesce(max(callers), 0)::bigint FROM (
    SELECT count(*) AS callers
    FROM templates t JOIN template_versions v
        ON v.tenant_id = t.tenant_id AND v.template_id = t.id AND v.version = t.version
    JOIN unnest(@names::text[]) AS called (name) ON jsonb_exists(v.partials, called.name)
    WHERE t.tenant_id = @tenant_id AND t.deleted_at IS NULL AND t.name <> @self
    GROUP BY called.name) AS per_partial;

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
SELECT v.template_id, v.version, v.subject, v.html, v.text, v.inline_css, v.partials FROM template_versions v
WHERE v.tenant_id = @tenant_id AND (v.template_id, v.version) IN
    (SELECT unnest(@template_ids::uuid[]), unnest(@versions::integer[]));
