-- name: GetSenders :many
-- What decides whether the tenants of a group may send. The share lock waits for a
-- fence that is being set, so that nothing is accepted behind it.
SELECT id, status, settings FROM tenants WHERE id = ANY(@ids::text[]) ORDER BY id FOR SHARE;

-- name: LockDailyUsage :many
-- Makes the rows of these tenants' days where they are missing, and locks them; sorted,
-- so that two groups never wait for each other in a circle.
INSERT INTO daily_usage AS u (tenant_id, day, reserved)
SELECT unnest(@tenant_ids::text[]), unnest(@days::date[]), 0
ORDER BY 1, 2
ON CONFLICT (tenant_id, day) DO UPDATE SET reserved = u.reserved
RETURNING tenant_id, day, reserved;

-- name: WriteGroup :exec
-- Everything of a group of accepted emails in one statement: a row per array element.
-- Tags come joined with the unit separator (U+001F), since an array of arrays can not be
-- unnested; a nil id stands for no template.
WITH usage AS (
    UPDATE daily_usage u SET reserved = n.reserved
    FROM (SELECT unnest(@usage_tenant_ids::text[]) AS tenant_id, unnest(@usage_days::date[]) AS day,
        unnest(@usage_reserved::integer[]) AS reserved) n
    WHERE u.tenant_id = n.tenant_id AND u.day = n.day
), email AS (
    INSERT INTO emails (tenant_id, id, subject, from_address, from_name, template_id, template_version,
        tags, metadata, trace_parent, created_at)
    SELECT unnest(@tenant_ids::text[]), unnest(@ids::uuid[]), unnest(@subjects::text[]),
        unnest(@from_addresses::text[]), unnest(@from_names::text[]),
        nullif(unnest(@template_ids::uuid[]), '00000000-0000-0000-0000-000000000000'),
        nullif(unnest(@template_versions::integer[]), 0),
        string_to_array(unnest(@tags::text[]), E'\x1f'), unnest(@metadata::text[])::jsonb,
        unnest(@trace_parents::text[]), @created_at
), content AS (
    INSERT INTO email_contents (tenant_id, email_id, content)
    SELECT unnest(@tenant_ids::text[]), unnest(@ids::uuid[]), unnest(@contents::bytea[])
)
INSERT INTO recipients (tenant_id, id, email_id, position, kind, address, name, updated_at)
SELECT unnest(@recipient_tenant_ids::text[]), unnest(@recipient_ids::uuid[]), unnest(@recipient_email_ids::uuid[]),
    unnest(@positions::smallint[]), unnest(@kinds::text[]), unnest(@addresses::text[]), unnest(@names::text[]), @created_at;
