-- name: ListTenantsToRoll :many
-- Tenants with events that are not in metrics yet, or whose days are those of another time zone.
SELECT t.id FROM tenants t LEFT JOIN metric_cursors c ON c.tenant_id = t.id
WHERE t.status <> 'deleting' AND t.id > @after_id::text
    AND (c.timezone <> coalesce(nullif(t.settings ->> 'timezone', ''), 'UTC')
        OR EXISTS (SELECT FROM events v WHERE v.tenant_id = t.id AND v.id > coalesce(c.event_id, '00000000-0000-0000-0000-000000000000')
            AND v.id < (SELECT events_horizon())))
ORDER BY t.id
LIMIT @count;

-- name: GetSettingsToRoll :one
-- No row: the tenant is being deleted, or gone.
SELECT settings FROM tenants WHERE id = @id AND status <> 'deleting';

-- name: InsertMetricCursor :exec
INSERT INTO metric_cursors (tenant_id, event_id, timezone)
SELECT t.id, '00000000-0000-0000-0000-000000000000', 'UTC' FROM tenants t WHERE t.id = @tenant_id::text AND t.status <> 'deleting'
ON CONFLICT DO NOTHING;

-- name: LockMetricCursor :one
-- No row: another roller is at it.
SELECT event_id, timezone FROM metric_cursors WHERE tenant_id = @tenant_id FOR UPDATE SKIP LOCKED;

-- name: GetMetricCursor :one
SELECT event_id, timezone FROM metric_cursors WHERE tenant_id = @tenant_id;

-- name: MoveMetricCursor :exec
UPDATE metric_cursors SET event_id = @event_id, timezone = @timezone WHERE tenant_id = @tenant_id;

-- name: GetEventsHorizon :one
SELECT events_horizon()::uuid;

-- name: ListFacts :many
-- Events in their order, with what they are counted by.
SELECT v.id, v.type, v.recipient_id, v.created_at, coalesce(v.data ->> 'automated' = 'true', false)::boolean AS automated,
    e.tags, t.name AS template, r.address
FROM events v
    LEFT JOIN emails e ON e.id = v.email_id AND e.tenant_id = v.tenant_id
    LEFT JOIN templates t ON t.tenant_id = e.tenant_id AND t.id = e.template_id
    LEFT JOIN recipients r ON r.id = v.recipient_id AND r.tenant_id = v.tenant_id
WHERE v.tenant_id = @tenant_id AND v.id > @after_id AND v.id < @before_id
ORDER BY v.id
LIMIT @count;

-- name: InsertMetricUniques :many
-- Gives those that were not there.
INSERT INTO metric_uniques (tenant_id, recipient_id, kind)
SELECT @tenant_id::text, unnest(@recipient_ids::uuid[]), unnest(@kinds::text[])
ON CONFLICT DO NOTHING
RETURNING recipient_id, kind;

-- name: ListMetricUniques :many
SELECT recipient_id, kind FROM metric_uniques WHERE tenant_id = @tenant_id AND recipient_id = ANY(@recipient_ids::uuid[]);

-- name: AddMetrics :exec
-- The rows are objects with the columns of the table.
INSERT INTO metrics (tenant_id, dimension, grain, at, key,
    accepted, sent, delivered, deferred, bounced, failed, complained, opened, unique_opened, automated_opened,
    clicked, unique_clicked, automated_clicked, unsubscribed, suppressed, expired, cancelled, unknown)
SELECT tenant_id, dimension, grain, at, key,
    accepted, sent, delivered, deferred, bounced, failed, complained, opened, unique_opened, automated_opened,
    clicked, unique_clicked, automated_clicked, unsubscribed, suppressed, expired, cancelled, unknown
FROM jsonb_to_recordset(@counted::jsonb) AS r (tenant_id text, dimension text, grain text, at timestamptz, key text,
    accepted integer, sent integer, delivered integer, deferred integer, bounced integer, failed integer, complained integer,
    opened integer, unique_opened integer, automated_opened integer, clicked integer, unique_clicked integer, automated_clicked integer,
    unsubscribed integer, suppressed integer, expired integer, cancelled integer, unknown integer)
ON CONFLICT (tenant_id, dimension, grain, at, key) DO UPDATE SET
    accepted = metrics.accepted + excluded.accepted, sent = metrics.sent + excluded.sent,
    delivered = metrics.delivered + excluded.delivered, deferred = metrics.deferred + excluded.deferred,
    bounced = metrics.bounced + excluded.bounced, failed = metrics.failed + excluded.failed,
    complained = metrics.complained + excluded.complained, opened = metrics.opened + excluded.opened,
    unique_opened = metrics.unique_opened + excluded.unique_opened,
    automated_opened = metrics.automated_opened + excluded.automated_opened, clicked = metrics.clicked + excluded.clicked,
    unique_clicked = metrics.unique_clicked + excluded.unique_clicked,
    automated_clicked = metrics.automated_clicked + excluded.automated_clicked,
    unsubscribed = metrics.unsubscribed + excluded.unsubscribed, suppressed = metrics.suppressed + excluded.suppressed,
    expired = metrics.expired + excluded.expired, cancelled = metrics.cancelled + excluded.cancelled,
    unknown = metrics.unknown + excluded.unknown;

-- name: GetMetricsSpan :one
-- From the first to the last quarter that has something.
SELECT coalesce(min(at), 'epoch')::timestamptz AS first, coalesce(max(at), 'epoch')::timestamptz AS last
FROM metrics WHERE tenant_id = @tenant_id AND dimension = 'total' AND grain = 'quarter';

-- name: DeleteMetricDays :exec
DELETE FROM metrics WHERE tenant_id = @tenant_id AND dimension = ANY(ARRAY['total', 'template', 'tag', 'domain']) AND grain = 'day';

-- name: MakeMetricDays :exec
-- Days from their quarters.
INSERT INTO metrics (tenant_id, dimension, grain, at, key,
    accepted, sent, delivered, deferred, bounced, failed, complained, opened, unique_opened, automated_opened, clicked,
    unique_clicked, automated_clicked, unsubscribed, suppressed, expired, cancelled, unknown)
SELECT m.tenant_id, m.dimension, 'day', w.day, m.key,
    sum(m.accepted)::integer, sum(m.sent)::integer, sum(m.delivered)::integer, sum(m.deferred)::integer, sum(m.bounced)::integer, sum(m.failed)::integer, sum(m.complained)::integer,
    sum(m.opened)::integer, sum(m.unique_opened)::integer, sum(m.automated_opened)::integer, sum(m.clicked)::integer, sum(m.unique_clicked)::integer,
    sum(m.automated_clicked)::integer, sum(m.unsubscribed)::integer, sum(m.suppressed)::integer, sum(m.expired)::integer, sum(m.cancelled)::integer, sum(m.unknown)::integer
FROM (SELECT unnest(@days::timestamptz[]) AS day, unnest(@starts::timestamptz[]) AS start, unnest(@ends::timestamptz[]) AS stop) w
    JOIN metrics m ON m.at >= w.start AND m.at < w.stop
WHERE m.tenant_id = @tenant_id AND m.dimension = ANY(ARRAY['total', 'template', 'tag', 'domain']) AND m.grain = 'quarter'
GROUP BY m.tenant_id, m.dimension, w.day, m.key;

-- name: RankMetrics :many
-- How much each key has in a time.
SELECT m.key, sum(
        m.accepted + m.sent + m.delivered + m.deferred + m.bounced + m.failed + m.complained + m.opened + m.unique_opened +
        m.automated_opened + m.clicked + m.unique_clicked + m.automated_clicked + m.unsubscribed + m.suppressed + m.expired +
        m.cancelled + m.unknown)::bigint AS total
FROM metrics m
WHERE m.tenant_id = @tenant_id AND m.dimension = @dimension AND m.grain = @grain AND m.at >= @from_at AND m.at < @to_at
GROUP BY m.key;

-- name: SumMetricsOfKeys :many
-- Sums of one window by key.
SELECT @from_at::timestamptz AS start, m.key AS group_key, true AS named,
    sum(m.accepted)::bigint AS accepted, sum(m.sent)::bigint AS sent, sum(m.delivered)::bigint AS delivered,
    sum(m.deferred)::bigint AS deferred, sum(m.bounced)::bigint AS bounced, sum(m.failed)::bigint AS failed,
    sum(m.complained)::bigint AS complained, sum(m.opened)::bigint AS opened, sum(m.unique_opened)::bigint AS unique_opened,
    sum(m.automated_opened)::bigint AS automated_opened, sum(m.clicked)::bigint AS clicked,
    sum(m.unique_clicked)::bigint AS unique_clicked, sum(m.automated_clicked)::bigint AS automated_clicked,
    sum(m.unsubscribed)::bigint AS unsubscribed, sum(m.suppressed)::bigint AS suppressed, sum(m.expired)::bigint AS expired,
    sum(m.cancelled)::bigint AS cancelled, sum(m.unknown)::bigint AS unknown
FROM metrics m
WHERE m.tenant_id = @tenant_id AND m.dimension = @dimension AND m.grain = @grain AND m.at >= @from_at AND m.at < @to_at
GROUP BY m.key;

-- name: SumOtherMetrics :many
-- Rows of all other keys together.
SELECT m.at::timestamptz AS start, ''::text AS group_key, false AS named,
    sum(m.accepted)::bigint AS accepted, sum(m.sent)::bigint AS sent, sum(m.delivered)::bigint AS delivered,
    sum(m.deferred)::bigint AS deferred, sum(m.bounced)::bigint AS bounced, sum(m.failed)::bigint AS failed,
    sum(m.complained)::bigint AS complained, sum(m.opened)::bigint AS opened, sum(m.unique_opened)::bigint AS unique_opened,
    sum(m.automated_opened)::bigint AS automated_opened, sum(m.clicked)::bigint AS clicked,
    sum(m.unique_clicked)::bigint AS unique_clicked, sum(m.automated_clicked)::bigint AS automated_clicked,
    sum(m.unsubscribed)::bigint AS unsubscribed, sum(m.suppressed)::bigint AS suppressed, sum(m.expired)::bigint AS expired,
    sum(m.cancelled)::bigint AS cancelled, sum(m.unknown)::bigint AS unknown
FROM metrics m
WHERE m.tenant_id = @tenant_id AND m.dimension = @dimension AND m.grain = @grain AND m.at >= @from_at AND m.at < @to_at
    AND m.key <> ALL(@keys::text[])
GROUP BY m.at;

-- name: SumQuarters :many
-- Sums of windows that are made of quarters, of each of some keys, and of all others together (not named).
SELECT w.start::timestamptz AS start, coalesce(CASE WHEN m.key = ANY(@keys::text[]) THEN m.key END, '')::text AS group_key,
    (m.key = ANY(@keys::text[]))::boolean AS named,
    sum(m.accepted)::bigint AS accepted, sum(m.sent)::bigint AS sent, sum(m.delivered)::bigint AS delivered,
    sum(m.deferred)::bigint AS deferred, sum(m.bounced)::bigint AS bounced, sum(m.failed)::bigint AS failed,
    sum(m.complained)::bigint AS complained, sum(m.opened)::bigint AS opened, sum(m.unique_opened)::bigint AS unique_opened,
    sum(m.automated_opened)::bigint AS automated_opened, sum(m.clicked)::bigint AS clicked,
    sum(m.unique_clicked)::bigint AS unique_clicked, sum(m.automated_clicked)::bigint AS automated_clicked,
    sum(m.unsubscribed)::bigint AS unsubscribed, sum(m.suppressed)::bigint AS suppressed, sum(m.expired)::bigint AS expired,
    sum(m.cancelled)::bigint AS cancelled, sum(m.unknown)::bigint AS unknown
FROM (SELECT unnest(@starts::timestamptz[]) AS start, unnest(@ends::timestamptz[]) AS stop) w
    JOIN metrics m ON m.at >= w.start AND m.at < w.stop
WHERE m.tenant_id = @tenant_id AND m.dimension = @dimension AND m.grain = 'quarter'
GROUP BY 1, 2, 3;
