-- name: GetSenders :many
-- What decides whether the tenants of a group may send. The locks, taken in order, let one
-- group at a time reserve for a tenant, and wait for a fence that is being set.
SELECT id, status, settings FROM tenants WHERE id = ANY(@ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: ListUsage :many
-- What tenants have reserved on a day and later ones.
SELECT tenant_id, day, reserved, told FROM daily_usage WHERE tenant_id = ANY(@tenant_ids::text[]) AND day >= @from_day;

-- name: SetUsage :exec
INSERT INTO daily_usage (tenant_id, day, reserved, told)
SELECT unnest(@tenant_ids::text[]), unnest(@days::date[]), unnest(@reserved::integer[]), unnest(@told::smallint[])
ON CONFLICT (tenant_id, day) DO UPDATE SET reserved = excluded.reserved, told = excluded.told;

-- name: InsertEvents :exec
-- Events that are of no recipient.
INSERT INTO events (tenant_id, type, data, created_at)
SELECT unnest(@tenant_ids::text[]), unnest(@types::text[]), unnest(@data::text[])::jsonb, @now::timestamptz;

-- name: WriteGroup :exec
-- Everything of a group of accepted emails in one statement: a row per array element.
-- Tags come joined with the unit separator (U+001F), since an array of arrays can not be
-- unnested; a nil id, version 0 and the epoch stand for null.
WITH usage AS (
    INSERT INTO daily_usage (tenant_id, day, reserved, told)
    SELECT unnest(@usage_tenant_ids::text[]), unnest(@usage_days::date[]), unnest(@usage_reserved::integer[]), unnest(@usage_told::smallint[])
    ON CONFLICT (tenant_id, day) DO UPDATE SET reserved = excluded.reserved, told = excluded.told
), answer AS (
    INSERT INTO idempotency_keys (tenant_id, key, hash, status, location, body)
    SELECT unnest(@answer_tenant_ids::text[]), unnest(@answer_keys::text[]), unnest(@answer_hashes::bytea[]),
        unnest(@answer_statuses::integer[]), '', unnest(@answer_bodies::bytea[])
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET hash = excluded.hash, status = excluded.status, location = '', body = excluded.body, created_at = now()
), email AS (
    INSERT INTO emails (tenant_id, id, subject, from_address, from_name, template_id, template_version,
        tags, metadata, trace_parent, class, usage_day, held, scheduled_at, expires_at, release_at, created_at)
    SELECT unnest(@tenant_ids::text[]), unnest(@ids::uuid[]), unnest(@subjects::text[]),
        unnest(@from_addresses::text[]), unnest(@from_names::text[]),
        nullif(unnest(@template_ids::uuid[]), '00000000-0000-0000-0000-000000000000'),
        nullif(unnest(@template_versions::integer[]), 0),
        string_to_array(unnest(@tags::text[]), E'\x1f'), unnest(@metadata::text[])::jsonb,
        unnest(@trace_parents::text[]), unnest(@classes::text[]), unnest(@email_days::date[]), unnest(@held::boolean[]),
        nullif(unnest(@scheduled_at::timestamptz[]), to_timestamp(0)), nullif(unnest(@expires_at::timestamptz[]), to_timestamp(0)),
        nullif(unnest(@release_at::timestamptz[]), to_timestamp(0)), @created_at
), content AS (
    INSERT INTO email_contents (tenant_id, email_id, content)
    SELECT unnest(@tenant_ids::text[]), unnest(@ids::uuid[]), unnest(@contents::bytea[])
), event AS (
    INSERT INTO events (tenant_id, type, email_id, recipient_id, data, created_at)
    SELECT unnest(@recipient_tenant_ids::text[]), 'email.accepted', unnest(@recipient_email_ids::uuid[]), unnest(@recipient_ids::uuid[]),
        NULL::jsonb, @created_at
    UNION ALL
    SELECT unnest(@scheduled_tenant_ids::text[]), 'email.scheduled', unnest(@scheduled_email_ids::uuid[]),
        unnest(@scheduled_recipient_ids::uuid[]), jsonb_build_object('scheduledAt', unnest(@scheduled_for::text[])), @created_at
)
INSERT INTO recipients (tenant_id, id, email_id, position, kind, address, name, status, updated_at)
SELECT unnest(@recipient_tenant_ids::text[]), unnest(@recipient_ids::uuid[]), unnest(@recipient_email_ids::uuid[]),
    unnest(@positions::smallint[]), unnest(@kinds::text[]), unnest(@addresses::text[]), unnest(@names::text[]),
    unnest(@statuses::text[]), @created_at;
