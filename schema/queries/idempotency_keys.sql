-- name: GetAnswer :one
SELECT * FROM idempotency_keys WHERE tenant_id = @tenant_id AND key = @key AND created_at > @since;

-- name: ListAnswered :many
-- Which of these keys have an answer since an instant.
SELECT k.tenant_id, k.key FROM idempotency_keys k
    JOIN (SELECT unnest(@tenant_ids::text[]) AS tenant_id, unnest(@keys::text[]) AS key) w USING (tenant_id, key)
WHERE k.created_at > @since;

-- name: SetAnswer :execrows
-- Keeps an answer unless the key has one since an instant.
INSERT INTO idempotency_keys AS k (tenant_id, key, hash, status, location, body)
VALUES (@tenant_id, @key, @hash, @status, @location, @body)
ON CONFLICT (tenant_id, key) DO UPDATE
SET hash = excluded.hash, status = excluded.status, location = excluded.location, body = excluded.body, created_at = now()
WHERE k.created_at <= @since;

-- name: ReplaceAnswer :exec
UPDATE idempotency_keys SET body = @body WHERE tenant_id = @tenant_id AND key = @key AND hash = @hash;

-- name: DeleteOldAnswers :execrows
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < @before::timestamptz LIMIT 5000));

-- name: SetTenant :exec
-- Of which tenant the transaction is from now on.
SELECT set_config('mailtura.tenant_id', @tenant_id::text, true);
