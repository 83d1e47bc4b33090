-- +goose Up
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    tenant_id    text COLLATE "C" REFERENCES tenants (id),
    name         text        NOT NULL,
    prefix       text COLLATE "C" NOT NULL,
    hash         bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz,
    expires_at   timestamptz,
    last_used_at timestamptz,
    replaced_by  uuid,
    scopes       text[],
    CONSTRAINT api_keys_prefix_unique UNIQUE (prefix),
    CONSTRAINT api_keys_hash_sha256 CHECK (length(hash) = 32),
    CONSTRAINT api_keys_scopes_some CHECK (cardinality(scopes) > 0)
);
COMMENT ON COLUMN api_keys.tenant_id IS 'null: an operator key';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the secret part; the secret itself is stored nowhere';
COMMENT ON COLUMN api_keys.last_used_at IS 'to the minute; what was not written yet is lost when a process ends';
COMMENT ON COLUMN api_keys.replaced_by IS 'the key that a rotation made; no foreign key, since a tenant is deleted in chunks';
COMMENT ON COLUMN api_keys.scopes IS 'null: all that a key of its kind may do';
CREATE INDEX api_keys_tenant_id ON api_keys (tenant_id, created_at DESC, id DESC);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY api_keys_tenant ON api_keys TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY api_keys_system ON api_keys TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON api_keys TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO mailtura_system;

-- +goose Down
DROP TABLE api_keys;
