-- One chunk of one table of a tenant that is being deleted. What belongs to emails goes with them.

-- name: ListTenantEmails :many
-- As many emails as have a chunk of recipients among them, or of blocks of 2 kB of content, which is about what one row
-- of it is in the database; at least one.
SELECT id FROM (
    SELECT e.id, sum(w.weight) OVER (ORDER BY e.id) - w.weight AS before
    FROM (SELECT id FROM emails WHERE tenant_id = @tenant_id::text ORDER BY id LIMIT @chunk::integer) e
        CROSS JOIN LATERAL (
            SELECT greatest((SELECT count(*) FROM recipients r WHERE r.email_id = e.id),
                (SELECT coalesce(sum(pg_column_size(c.content)), 0) / 2000 FROM email_contents c WHERE c.email_id = e.id)) AS weight
        ) w
) weighed
WHERE before < @chunk::integer
ORDER BY id;

-- name: DeleteAttemptsOf :execrows
DELETE FROM attempts WHERE recipient_id IN (SELECT id FROM recipients WHERE email_id = ANY(@email_ids::uuid[]));

-- name: DeleteEngagementsOf :execrows
DELETE FROM engagements WHERE recipient_id IN (SELECT id FROM recipients WHERE email_id = ANY(@email_ids::uuid[]));

-- name: DeleteRecipientsOf :execrows
DELETE FROM recipients WHERE email_id = ANY(@email_ids::uuid[]);

-- name: DeleteContentsOf :execrows
DELETE FROM email_contents WHERE email_id = ANY(@email_ids::uuid[]);

-- name: DeleteEmails :execrows
DELETE FROM emails WHERE id = ANY(@ids::uuid[]);

-- name: DeleteTenantDispatches :execrows
DELETE FROM dispatches WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM dispatches WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantDailyUsage :execrows
DELETE FROM daily_usage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM daily_usage WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantEvents :execrows
DELETE FROM events WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM events WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantTemplateVersions :execrows
DELETE FROM template_versions WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM template_versions WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantTemplates :execrows
DELETE FROM templates WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM templates WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantAPIKeys :execrows
DELETE FROM api_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM api_keys WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantIdempotencyKeys :execrows
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantBulkSendErrors :execrows
DELETE FROM bulk_send_errors WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM bulk_send_errors WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantBulkSendChunks :execrows
DELETE FROM bulk_send_chunks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM bulk_send_chunks WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantBulkSends :execrows
DELETE FROM bulk_sends WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM bulk_sends WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantWebhookRetries :execrows
DELETE FROM webhook_retries WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM webhook_retries WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantWebhookDeliveries :execrows
DELETE FROM webhook_deliveries WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM webhook_deliveries WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantWebhooks :execrows
DELETE FROM webhooks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM webhooks WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantDomainKeys :execrows
DELETE FROM domain_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM domain_keys WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantDomains :execrows
DELETE FROM domains WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM domains WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantMetrics :execrows
DELETE FROM metrics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metrics WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantMetricUniques :execrows
DELETE FROM metric_uniques WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metric_uniques WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantMetricCursors :execrows
DELETE FROM metric_cursors WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metric_cursors WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantSummaries :execrows
DELETE FROM tenant_summaries WHERE tenant_id = @tenant_id;

-- name: DeleteTenantOutcomes :execrows
DELETE FROM tenant_outcomes WHERE tenant_id = @tenant_id;

-- name: CountTenantRows :many
-- Every table that has rows of tenants (a test asks the database whether it is), and how many of them are of this one.
SELECT 'emails'::text AS table_name, count(*) AS rows FROM emails WHERE emails.tenant_id = @tenant_id::text
UNION ALL SELECT 'recipients'::text AS table_name, count(*) AS rows FROM recipients WHERE recipients.tenant_id = @tenant_id::text
UNION ALL SELECT 'attempts'::text AS table_name, count(*) AS rows FROM attempts WHERE attempts.tenant_id = @tenant_id::text
UNION ALL SELECT 'engagements'::text AS table_name, count(*) AS rows FROM engagements WHERE engagements.tenant_id = @tenant_id::text
UNION ALL SELECT 'email_contents'::text AS table_name, count(*) AS rows FROM email_contents WHERE email_contents.tenant_id = @tenant_id::text
UNION ALL SELECT 'dispatches'::text AS table_name, count(*) AS rows FROM dispatches WHERE dispatches.tenant_id = @tenant_id::text
UNION ALL SELECT 'bulk_send_errors'::text AS table_name, count(*) AS rows FROM bulk_send_errors WHERE bulk_send_errors.tenant_id = @tenant_id::text
UNION ALL SELECT 'bulk_send_chunks'::text AS table_name, count(*) AS rows FROM bulk_send_chunks WHERE bulk_send_chunks.tenant_id = @tenant_id::text
UNION ALL SELECT 'bulk_sends'::text AS table_name, count(*) AS rows FROM bulk_sends WHERE bulk_sends.tenant_id = @tenant_id::text
UNION ALL SELECT 'events'::text AS table_name, count(*) AS rows FROM events WHERE events.tenant_id = @tenant_id::text
UNION ALL SELECT 'daily_usage'::text AS table_name, count(*) AS rows FROM daily_usage WHERE daily_usage.tenant_id = @tenant_id::text
UNION ALL SELECT 'template_versions'::text AS table_name, count(*) AS rows FROM template_versions WHERE template_versions.tenant_id = @tenant_id::text
UNION ALL SELECT 'templates'::text AS table_name, count(*) AS rows FROM templates WHERE templates.tenant_id = @tenant_id::text
UNION ALL SELECT 'idempotency_keys'::text AS table_name, count(*) AS rows FROM idempotency_keys WHERE idempotency_keys.tenant_id = @tenant_id::text
UNION ALL SELECT 'api_keys'::text AS table_name, count(*) AS rows FROM api_keys WHERE api_keys.tenant_id = @tenant_id::text
UNION ALL SELECT 'webhook_retries'::text AS table_name, count(*) AS rows FROM webhook_retries WHERE webhook_retries.tenant_id = @tenant_id::text
UNION ALL SELECT 'webhook_deliveries'::text AS table_name, count(*) AS rows FROM webhook_deliveries WHERE webhook_deliveries.tenant_id = @tenant_id::text
UNION ALL SELECT 'webhooks'::text AS table_name, count(*) AS rows FROM webhooks WHERE webhooks.tenant_id = @tenant_id::text
UNION ALL SELECT 'domain_keys'::text AS table_name, count(*) AS rows FROM domain_keys WHERE domain_keys.tenant_id = @tenant_id::text
UNION ALL SELECT 'domains'::text AS table_name, count(*) AS rows FROM domains WHERE domains.tenant_id = @tenant_id::text
UNION ALL SELECT 'metric_cursors'::text AS table_name, count(*) AS rows FROM metric_cursors WHERE metric_cursors.tenant_id = @tenant_id::text
UNION ALL SELECT 'metrics'::text AS table_name, count(*) AS rows FROM metrics WHERE metrics.tenant_id = @tenant_id::text
UNION ALL SELECT 'metric_uniques'::text AS table_name, count(*) AS rows FROM metric_uniques WHERE metric_uniques.tenant_id = @tenant_id::text
UNION ALL SELECT 'tenant_summaries'::text AS table_name, count(*) AS rows FROM tenant_summaries WHERE tenant_summaries.tenant_id = @tenant_id::text
UNION ALL SELECT 'tenant_outcomes'::text AS table_name, count(*) AS rows FROM tenant_outcomes WHERE tenant_outcomes.tenant_id = @tenant_id::text;

-- name: CountRootRows :one
-- The rows of a tenant in the tables from which all others hang by foreign keys: where these have none, those have none.
SELECT ((SELECT count(*) FROM emails WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM dispatches WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_send_errors WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_send_chunks WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_sends WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM events WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM daily_usage WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM template_versions WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM templates WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM idempotency_keys WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM api_keys WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhook_retries WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhook_deliveries WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhooks WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM domain_keys WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM domains WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metric_cursors WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metrics WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metric_uniques WHERE tenant_id = @tenant_id::text))::bigint AS rows;
