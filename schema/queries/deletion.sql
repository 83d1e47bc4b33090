-- One chunk of one table of a tenant that is being deleted; children come before their parents.

-- name: DeleteTenantAttempts :execrows
DELETE FROM attempts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM attempts WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantRecipients :execrows
DELETE FROM recipients WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM recipients WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantEmailContents :execrows
DELETE FROM email_contents WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM email_contents WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantEmails :execrows
DELETE FROM emails WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM emails WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantDispatches :execrows
DELETE FROM dispatches WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM dispatches WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantDailyUsage :execrows
DELETE FROM daily_usage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM daily_usage WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantTemplateVersions :execrows
DELETE FROM template_versions WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM template_versions WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantTemplates :execrows
DELETE FROM templates WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM templates WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: DeleteTenantAPIKeys :execrows
DELETE FROM api_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM api_keys WHERE tenant_id = @tenant_id::text LIMIT @chunk));

-- name: CountTenantRows :one
-- Everything that is left of a tenant beside its own row.
SELECT ((SELECT count(*) FROM attempts WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM recipients WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM email_contents WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM emails WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM dispatches WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM daily_usage WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM template_versions WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM templates WHERE tenant_id = @tenant_id::text)
    + (SELECT count(*) FROM api_keys WHERE tenant_id = @tenant_id::text))::bigint AS rows;
