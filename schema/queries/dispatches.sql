-- name: ClaimEmails :execrows
-- Puts emails that no dispatch has into this one; an email that another process has
-- claimed meanwhile is left to it. The tenant is compared so that its index is not taken for the ids.
UPDATE emails SET dispatch_id = @dispatch_id::uuid
WHERE id = ANY(@ids::uuid[]) AND tenant_id || '' = @tenant_id::text AND dispatch_id IS NULL AND release_at IS NULL;

-- name: InsertDispatch :exec
INSERT INTO dispatches (tenant_id, id, class, emails, bulk_send_id) VALUES (@tenant_id, @id, @class, @emails, sqlc.narg(bulk_send_id));

-- name: SetDispatchRun :exec
UPDATE dispatches SET run_id = @run_id::text
WHERE tenant_id = @tenant_id AND id = @id AND run_id IS DISTINCT FROM @run_id::text;

-- name: ListStaleEmails :many
-- Emails that were accepted before an instant and have no dispatch, oldest first.
SELECT e.tenant_id, e.id, e.trace_parent, e.class, coalesce((t.settings ->> 'weight')::real, 1)::real AS weight
FROM emails e JOIN tenants t ON t.id = e.tenant_id
WHERE e.dispatch_id IS NULL AND e.release_at IS NULL AND e.created_at < @before AND t.status <> 'deleting'
ORDER BY e.id LIMIT @count;

-- name: ListStaleDispatches :many
-- Dispatches that were made before an instant and whose workflow is not known to have started.
SELECT d.tenant_id, d.id, d.class, d.emails, d.bulk_send_id,
    coalesce((t.settings ->> 'weight')::real, 1)::real AS weight
FROM dispatches d JOIN tenants t ON t.id = d.tenant_id
WHERE d.run_id IS NULL AND d.created_at < @before AND t.status <> 'deleting'
ORDER BY d.created_at LIMIT @count;

-- name: FinishDispatch :one
-- Gives the bulk send of which it carries a chunk.
UPDATE dispatches SET finished_at = coalesce(finished_at, @now) WHERE tenant_id = @tenant_id AND id = @id RETURNING bulk_send_id;

-- name: ListOpenDispatches :many
-- Dispatches not all of whose recipients have a final status, oldest first.
SELECT id FROM dispatches
WHERE tenant_id = @tenant_id AND finished_at IS NULL AND id > @after
ORDER BY id LIMIT @count;

-- name: ListCarriedDispatches :many
-- Dispatches of all tenants that were made before an instant and whose workflow should be running, oldest first.
SELECT tenant_id, id FROM dispatches
WHERE finished_at IS NULL AND run_id IS NOT NULL AND id > @after AND created_at < @before
ORDER BY id LIMIT @count;

-- name: TouchDispatchRecipients :exec
-- Whoever has loaded open recipients of a dispatch does not claim them any more; whoever has
-- claimed one before is seen afterwards.
UPDATE recipients r SET updated_at = @now FROM emails e
WHERE e.dispatch_id = @id::uuid AND e.tenant_id || '' = @tenant_id::text AND r.email_id = e.id AND r.status IN ('queued', 'deferred');

-- name: AbandonDispatch :one
-- Gives emails with open recipients back to be dispatched, unless a hand-over may be under way.
WITH busy AS (
    SELECT FROM emails e JOIN recipients r ON r.email_id = e.id
    WHERE e.dispatch_id = @id::uuid AND r.status = 'sending' AND r.updated_at > @settled LIMIT 1
), freed AS (
    UPDATE emails e SET dispatch_id = NULL
    WHERE e.dispatch_id = @id::uuid AND e.tenant_id || '' = @tenant_id::text AND NOT EXISTS (SELECT FROM busy)
        AND EXISTS (SELECT FROM recipients r WHERE r.email_id = e.id AND r.status IN ('queued', 'sending', 'deferred'))
    RETURNING e.id
), ended AS (
    UPDATE dispatches d SET finished_at = @now::timestamptz
    WHERE d.id = @id::uuid AND d.tenant_id = @tenant_id::text AND d.finished_at IS NULL AND NOT EXISTS (SELECT FROM busy)
)
SELECT count(*)::integer FROM freed;
