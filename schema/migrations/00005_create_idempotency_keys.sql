-- +goose Up
CREATE TABLE idempotency_keys (
    tenant_id  text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    hash       bytea       NOT NULL,
    status     integer     NOT NULL,
    location   text        NOT NULL,
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key),
    CONSTRAINT idempotency_keys_hash_sha256 CHECK (length(hash) = 32)
);
COMMENT ON TABLE idempotency_keys IS 'answers to requests that created something, to be given again for 24 hours';
COMMENT ON COLUMN idempotency_keys.tenant_id IS 'empty: of operators';
COMMENT ON COLUMN idempotency_keys.hash IS 'SHA-256 of method, path and body of the request';
COMMENT ON COLUMN idempotency_keys.body IS 'of the answer; sealed with a key of the caller where it has a secret';
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_keys_tenant ON idempotency_keys TO mailtura_request
    USING (tenant_id = nullif(current_setting('mailtura.tenant_id', true), '')); -- what a connection has that served a tenant
CREATE POLICY idempotency_keys_system ON idempotency_keys TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO mailtura_system;

-- +goose Down
DROP TABLE idempotency_keys;
