-- name: InsertBulkSend :execrows
-- Nothing while another upload with the idempotency key is under way.
INSERT INTO bulk_sends (tenant_id, id, name, class, shared, scheduled_at, expires_at, created_at, progressed_at, idempotency_key)
VALUES (@tenant_id, @id, @name, @class, @shared, @scheduled_at, @expires_at, @now, @now, @idempotency_key)
ON CONFLICT (tenant_id, idempotency_key) WHERE status = 'uploading' AND idempotency_key IS NOT NULL DO NOTHING;

-- name: GetUploadOfKey :one
SELECT id, progressed_at FROM bulk_sends
WHERE tenant_id = @tenant_id AND idempotency_key = @idempotency_key::text AND status = 'uploading';

-- name: TouchUpload :execrows
UPDATE bulk_sends SET progressed_at = @now WHERE tenant_id = @tenant_id AND id = @id AND status = 'uploading';

-- name: LockBulkSend :one
SELECT id, status, class, chunks, accepted, rejected, errors, progressed_at, idempotency_key FROM bulk_sends WHERE tenant_id = @tenant_id AND id = @id FOR UPDATE;

-- name: AdvanceBulkSend :exec
UPDATE bulk_sends
SET chunks = chunks + @chunks, accepted = accepted + @accepted, rejected = rejected + @rejected, errors = errors + @errors,
    progressed_at = @now
WHERE tenant_id = @tenant_id AND id = @id;

-- name: SetBulkSendStatus :exec
UPDATE bulk_sends SET status = @status, progressed_at = @now, finished_at = @finished_at
WHERE tenant_id = @tenant_id AND id = @id;

-- name: SetBulkSendRun :exec
UPDATE bulk_sends SET run_id = @run_id::text WHERE tenant_id = @tenant_id AND id = @id;

-- name: GetBulkSend :one
SELECT id, name, status, class, accepted, rejected, run_id, created_at, finished_at
FROM bulk_sends WHERE tenant_id = @tenant_id AND id = @id;

-- name: ListBulkSendsAfter :many
SELECT id, name, status, class, accepted, rejected, run_id, created_at, finished_at
FROM bulk_sends WHERE tenant_id = @tenant_id AND id < @after_id ORDER BY id DESC LIMIT @count;

-- name: CountBulkSendLines :many
-- Where all lines stand, at one moment. What has come to its end for good is counted in the
-- chunks, and only the rest of those that are emails is looked at: one by one, since for a
-- join the planner may read all recipients.
WITH chunk AS (
    SELECT b.tenant_id, b.bulk_send_id, b.lines, b.taken_at, b.cancelled_at, b.held, b.release_at, b.rest, b.sent, b.bounced, b.cancelled
    FROM bulk_send_chunks b WHERE b.tenant_id = @tenant_id AND b.bulk_send_id = ANY(@ids::uuid[])
), line AS (
    SELECT bulk_send_id, lines,
        CASE WHEN cancelled_at IS NOT NULL THEN 'cancelled' WHEN release_at IS NULL OR release_at <= @now::timestamptz THEN 'queued'
            WHEN held THEN 'held' ELSE 'scheduled' END AS status
    FROM chunk WHERE taken_at IS NULL
    UNION ALL SELECT bulk_send_id, sent, 'sent' FROM chunk WHERE sent > 0
    UNION ALL SELECT bulk_send_id, bounced, 'bounced' FROM chunk WHERE bounced > 0
    UNION ALL SELECT bulk_send_id, cancelled, 'cancelled' FROM chunk WHERE cancelled > 0
    UNION ALL SELECT c.bulk_send_id, 1, (SELECT r.status FROM recipients r WHERE r.id = own.id AND r.tenant_id = c.tenant_id)
    FROM chunk c CROSS JOIN unnest(c.rest) AS own (id)
)
SELECT bulk_send_id, status::text AS status, sum(lines)::integer AS lines FROM line GROUP BY bulk_send_id, status;

-- name: ListBulkSendErrorsAfter :many
SELECT number, line, location, code, message FROM bulk_send_errors
WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND number > @after ORDER BY number LIMIT @count;

-- name: InsertBulkSendErrors :exec
INSERT INTO bulk_send_errors (tenant_id, bulk_send_id, number, line, location, code, message)
SELECT @tenant_id::text, @bulk_send_id::uuid, unnest(@numbers::integer[]), unnest(@lines::integer[]), unnest(@locations::text[]),
    unnest(@codes::text[]), unnest(@messages::text[]);

-- name: InsertBulkSendChunk :exec
INSERT INTO bulk_send_chunks (tenant_id, bulk_send_id, number, skip, lines, content, usage_day, held, release_at)
VALUES (@tenant_id, @bulk_send_id, @number, @skip, @lines, @content, @usage_day, @held, @release_at);

-- name: LockDueChunk :one
-- The next chunk whose time has come.
SELECT * FROM bulk_send_chunks
WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND taken_at IS NULL AND cancelled_at IS NULL
    AND (release_at IS NULL OR release_at <= @now::timestamptz)
ORDER BY number LIMIT 1 FOR UPDATE;

-- name: TakeChunk :exec
UPDATE bulk_send_chunks SET taken_at = @taken_at, dispatch_id = @dispatch_id, content = '', rest = @rest
WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND number = @number;

-- name: GetWaitingChunks :one
-- What is not taken yet, and when the first of it that waits for its time has come.
SELECT count(*)::integer AS chunks, coalesce(sum(lines), 0)::integer AS lines,
    coalesce(min(release_at), to_timestamp(0))::timestamptz AS next_at
FROM bulk_send_chunks
WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND taken_at IS NULL AND cancelled_at IS NULL;

-- name: CountOpenRecipients :one
-- Recipients that are queued or being sent. Chunks that have none any more are passed, and
-- counted, so that the next count need not look at them. The rest of a chunk only becomes
-- less: where it is as large as it was, nobody has counted it meanwhile.
WITH own AS MATERIALIZED (
    SELECT c.number, rest.id, (SELECT r.status FROM recipients r WHERE r.id = rest.id AND r.tenant_id = c.tenant_id) AS status
    FROM bulk_send_chunks c CROSS JOIN unnest(c.rest) AS rest (id)
    WHERE c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id AND c.taken_at IS NOT NULL AND NOT c.passed
), open AS (
    SELECT o.number, count(*) AS before, count(*) FILTER (WHERE o.status IN ('queued', 'sending')) AS recipients,
        count(*) FILTER (WHERE o.status = 'sent') AS sent, count(*) FILTER (WHERE o.status = 'bounced') AS bounced,
        count(*) FILTER (WHERE o.status = 'cancelled') AS cancelled,
        coalesce(array_agg(o.id) FILTER (WHERE o.status NOT IN ('sent', 'bounced', 'cancelled')), '{}') AS rest
    FROM own o GROUP BY o.number
), passed AS (
    UPDATE bulk_send_chunks c
    SET passed = true, sent = c.sent + o.sent, bounced = c.bounced + o.bounced, cancelled = c.cancelled + o.cancelled, rest = o.rest
    FROM open o
    WHERE c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id AND c.number = o.number AND o.recipients = 0
        AND cardinality(c.rest) = o.before
)
SELECT coalesce(sum(recipients), 0)::integer AS recipients FROM open;

-- name: CountChunk :exec
-- Counts what of a chunk, by the dispatch that it became, has come to its end for good.
WITH own AS MATERIALIZED (
    SELECT c.number, rest.id, (SELECT r.status FROM recipients r WHERE r.id = rest.id AND r.tenant_id = c.tenant_id) AS status
    FROM bulk_send_chunks c CROSS JOIN unnest(c.rest) AS rest (id)
    WHERE c.dispatch_id = @dispatch_id AND c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id
), ended AS (
    SELECT o.number, count(*) AS before, count(*) FILTER (WHERE o.status = 'sent') AS sent,
        count(*) FILTER (WHERE o.status = 'bounced') AS bounced, count(*) FILTER (WHERE o.status = 'cancelled') AS cancelled,
        coalesce(array_agg(o.id) FILTER (WHERE o.status NOT IN ('sent', 'bounced', 'cancelled')), '{}') AS rest
    FROM own o GROUP BY o.number
)
UPDATE bulk_send_chunks c
SET sent = c.sent + e.sent, bounced = c.bounced + e.bounced, cancelled = c.cancelled + e.cancelled, rest = e.rest
FROM ended e
WHERE c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id AND c.number = e.number AND cardinality(c.rest) = e.before;

-- name: ClaimBulkEmails :exec
UPDATE emails SET dispatch_id = @dispatch_id, bulk_send_id = @bulk_send_id
WHERE id = ANY(@ids::uuid[]) AND tenant_id || '' = @tenant_id::text;

-- name: ListBulkShared :many
SELECT id, shared FROM bulk_sends WHERE tenant_id = @tenant_id AND id = ANY(@ids::uuid[]);

-- name: CancelChunks :many
-- What is not taken will not be; with the days on which it was reserved.
WITH cancelled AS (
    UPDATE bulk_send_chunks SET cancelled_at = @now::timestamptz, content = ''
    WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND taken_at IS NULL AND cancelled_at IS NULL
    RETURNING usage_day, lines
)
SELECT usage_day, sum(lines)::integer AS lines FROM cancelled GROUP BY usage_day;

-- name: CancelBulkRecipients :many
-- Ends what is not under way and not final, and tells for each day and dispatch how many
-- recipients were never tried.
WITH cancelled AS (
    UPDATE recipients r SET status = 'cancelled', next_attempt_at = NULL, updated_at = @now
    WHERE r.id = ANY(ARRAY(SELECT unnest(c.rest) FROM bulk_send_chunks c
            WHERE c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id AND c.taken_at IS NOT NULL))
        AND r.tenant_id = @tenant_id AND r.status IN ('scheduled', 'held', 'queued', 'deferred')
    RETURNING r.tenant_id, r.email_id, r.id, r.attempts
), told AS (
    INSERT INTO events (tenant_id, type, email_id, recipient_id, created_at)
    SELECT c.tenant_id, 'email.cancelled', c.email_id, c.id, @now FROM cancelled c
)
SELECT e.usage_day, e.dispatch_id, count(*)::integer AS recipients, (count(*) FILTER (WHERE c.attempts = 0))::integer AS untried
FROM cancelled c CROSS JOIN LATERAL (
    SELECT o.usage_day, o.dispatch_id FROM emails o WHERE o.id = c.email_id AND o.tenant_id = @tenant_id OFFSET 0 -- one by one
) e
GROUP BY e.usage_day, e.dispatch_id;

-- name: ListStaleBulkSends :many
-- Uploads that have ended, and whose workflow is not known to have started.
SELECT b.tenant_id, b.id, b.class, b.accepted FROM bulk_sends b JOIN tenants t ON t.id = b.tenant_id
WHERE b.run_id IS NULL AND b.status IN ('running', 'paused') AND b.progressed_at < @before AND t.status <> 'deleting'
ORDER BY b.progressed_at LIMIT 100;

-- name: ListStaleUploads :many
-- Uploads that nobody has taken in since an instant.
SELECT tenant_id, id FROM bulk_sends
WHERE run_id IS NULL AND status = 'uploading' AND progressed_at < @before ORDER BY progressed_at LIMIT 100;

-- name: GetTenantWeight :one
SELECT status, coalesce((settings ->> 'weight')::real, 1)::real AS weight FROM tenants WHERE id = @id;

-- name: LockHeldBulkSends :many
-- Bulk sends before their chunks, as everybody locks them.
SELECT b.id FROM bulk_sends b WHERE b.tenant_id = @tenant_id AND EXISTS (
    SELECT FROM bulk_send_chunks c WHERE c.tenant_id = b.tenant_id AND c.bulk_send_id = b.id
        AND c.held AND c.taken_at IS NULL AND c.cancelled_at IS NULL)
ORDER BY b.id FOR UPDATE;

-- name: ListHeldChunks :many
-- Chunks of a tenant that are held for a day with room, in order.
SELECT c.bulk_send_id, c.number, c.skip, c.lines, c.usage_day, b.scheduled_at, b.expires_at
FROM bulk_send_chunks c JOIN bulk_sends b ON b.tenant_id = c.tenant_id AND b.id = c.bulk_send_id
WHERE c.tenant_id = @tenant_id AND c.held AND c.taken_at IS NULL AND c.cancelled_at IS NULL AND c.release_at > @now::timestamptz
ORDER BY c.bulk_send_id, c.number FOR UPDATE OF c;

-- name: SetHeldChunk :exec
UPDATE bulk_send_chunks SET lines = @lines, usage_day = @usage_day, release_at = @release_at
WHERE tenant_id = @tenant_id AND bulk_send_id = @bulk_send_id AND number = @number;

-- name: SplitChunk :exec
-- Makes another chunk of a part of one; it gets the next number of its bulk send.
WITH bulk AS (
    UPDATE bulk_sends SET chunks = chunks + 1 WHERE tenant_id = @tenant_id AND id = @bulk_send_id RETURNING chunks
)
INSERT INTO bulk_send_chunks (tenant_id, bulk_send_id, number, skip, lines, content, usage_day, held, release_at)
SELECT c.tenant_id, c.bulk_send_id, b.chunks, @skip::integer, @lines::integer, c.content, @usage_day::date, true, @release_at::timestamptz
FROM bulk_send_chunks c, bulk b WHERE c.tenant_id = @tenant_id AND c.bulk_send_id = @bulk_send_id AND c.number = @number;
