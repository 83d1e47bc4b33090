-- One chunk of one table of a tenant that is being deleted. What belongs to emails goes with them.

-- name: ListTenantEmails :many
SELECT id FROM emails WHERE tenant_id = @tenant_id::text ORDER BY id LIMIT @chunk;

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

-- name: DeleteTenantMetrics :execrows
DELETE FROM metrics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metrics WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantMetricUniques :execrows
DELETE FROM metric_uniques WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metric_uniques WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantMetricCursors :execrows
DELETE FROM metric_cursors WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metric_cursors WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: CountTenantRows :one
-- Everything that is left of a tenant beside its own row, and what belongs to its emails.
SELECT ((SELECT count(*) FROM emails WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM dispatches WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_send_errors WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_send_chunks WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM bulk_sends WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM events WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metrics WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metric_uniques WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM metric_cursors WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM daily_usage WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM template_versions WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM templates WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM idempotency_keys WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhook_retries WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhook_deliveries WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM webhooks WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM api_keys WHERE tenant_id = @tenant_id::text))::bigint AS rows;
