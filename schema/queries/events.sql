-- name: ListEventsAfter :many
-- Events of a tenant in order. What is at the horizon or behind it may still get company
-- before it, so it is not shown yet. An index finds events by their email, so also those of
-- a recipient.
SELECT v.id, v.type, v.email_id, v.recipient_id, v.attempt, v.data, v.created_at,
    e.subject, e.tags, e.template_id, r.kind, r.address, a.code, a.enhanced, a.reply
FROM events v
    LEFT JOIN emails e ON e.id = v.email_id AND e.tenant_id = v.tenant_id
    LEFT JOIN recipients r ON r.id = v.recipient_id AND r.tenant_id = v.tenant_id AND r.email_id = v.email_id
    LEFT JOIN attempts a ON a.recipient_id = v.recipient_id AND a.number = v.attempt AND a.tenant_id = v.tenant_id
WHERE v.tenant_id = @tenant_id AND v.id > @after_id AND v.id < events_horizon()
    AND (cardinality(@types::text[]) = 0 OR v.type = ANY(@types::text[]))
    AND (sqlc.narg(email_id)::uuid IS NULL OR v.email_id = sqlc.narg(email_id)::uuid)
    AND (sqlc.narg(recipient)::text IS NULL OR r.address = sqlc.narg(recipient)::text)
ORDER BY v.id
LIMIT @count;

-- name: ListSuspensions :many
-- When a tenant was suspended and resumed, in order.
SELECT type, created_at FROM events
WHERE tenant_id = @tenant_id AND type IN ('tenant.suspended', 'tenant.resumed')
ORDER BY id;

-- name: ListDeferrals :many
-- For when the attempts of an email that were deferred were to be made again.
SELECT recipient_id, attempt, (data ->> 'nextAttemptAt')::timestamptz AS next_at FROM events
WHERE tenant_id = @tenant_id AND email_id = @email_id AND type = 'email.deferred' AND data ? 'nextAttemptAt';
