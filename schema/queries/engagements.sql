-- name: LockEngagements :many
-- The rows of these recipients that are there, in an order, so that two processes can not wait for each other.
SELECT g.tenant_id, g.recipient_id, g.opened_at, g.clicked_at, g.last_clicked_at, g.last_link, r.email_id, r.status, r.updated_at
FROM engagements g JOIN recipients r ON r.id = g.recipient_id AND r.tenant_id = g.tenant_id
WHERE g.recipient_id = ANY(@recipient_ids::uuid[])
ORDER BY g.recipient_id, g.tenant_id
FOR UPDATE OF g;

-- name: InsertEngagements :many
-- A row for each of these recipients that is there; not inserted: another process has just done that.
WITH there AS (
    SELECT r.tenant_id, r.id, r.email_id, r.status, r.updated_at
    FROM (SELECT unnest(@tenant_ids::text[]) AS tenant_id, unnest(@recipient_ids::uuid[]) AS id) h JOIN recipients r ON r.id = h.id
    WHERE r.tenant_id = h.tenant_id
), made AS (
    INSERT INTO engagements (tenant_id, recipient_id) SELECT tenant_id, id FROM there ORDER BY id, tenant_id
    ON CONFLICT (recipient_id, tenant_id) DO NOTHING
    RETURNING recipient_id, tenant_id
)
SELECT t.tenant_id, t.id AS recipient_id, t.email_id, t.status, t.updated_at, (m.recipient_id IS NOT NULL)::boolean AS inserted
FROM there t LEFT JOIN made m ON m.recipient_id = t.id AND m.tenant_id = t.tenant_id;

-- name: AddEngagements :exec
-- Counts hits, a row of the arrays for each recipient; the epoch stands for null.
UPDATE engagements g
SET opens = g.opens + h.opens, clicks = g.clicks + h.clicks,
    automated_opens = g.automated_opens + h.automated_opens, automated_clicks = g.automated_clicks + h.automated_clicks,
    opened_at = nullif(h.opened_at, to_timestamp(0)), clicked_at = nullif(h.clicked_at, to_timestamp(0)),
    last_clicked_at = nullif(h.last_clicked_at, to_timestamp(0)), last_link = h.last_link
FROM (
    SELECT unnest(@tenant_ids::text[]) AS tenant_id, unnest(@recipient_ids::uuid[]) AS recipient_id,
        unnest(@opens::integer[]) AS opens, unnest(@clicks::integer[]) AS clicks,
        unnest(@automated_opens::integer[]) AS automated_opens, unnest(@automated_clicks::integer[]) AS automated_clicks,
        unnest(@opened_at::timestamptz[]) AS opened_at, unnest(@clicked_at::timestamptz[]) AS clicked_at,
        unnest(@last_clicked_at::timestamptz[]) AS last_clicked_at, unnest(@last_links::integer[]) AS last_link
) h
WHERE g.recipient_id = h.recipient_id AND g.tenant_id = h.tenant_id;

-- name: InsertHits :exec
INSERT INTO events (tenant_id, type, email_id, recipient_id, data, created_at)
SELECT unnest(@tenant_ids::text[]), unnest(@types::text[]), unnest(@email_ids::uuid[]), unnest(@recipient_ids::uuid[]),
    unnest(@data::text[])::jsonb, unnest(@created_at::timestamptz[]);

-- name: ListEngagements :many
SELECT * FROM engagements WHERE tenant_id || '' = @tenant_id::text AND recipient_id = ANY(@recipient_ids::uuid[]);

-- name: GetTrackingHost :one
-- The tenant whose own tracking domain this is.
SELECT id FROM tenants WHERE settings #>> '{tracking,domain}' = @host::text;

-- name: KeepSecret :one
-- The secret of this name: the one that is there, or else this.
INSERT INTO installation_secrets (name, secret) VALUES (@name, @secret)
ON CONFLICT (name) DO UPDATE SET secret = installation_secrets.secret
RETURNING secret;
