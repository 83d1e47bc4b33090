-- +goose Up
CREATE TABLE api_keys (
    id            uuid PRIMARY KEY,
    tenant_id     text COLLATE "C" REFERENCES tenants (id),
    name          text        NOT NULL,
    prefix        text COLLATE "C" NOT NULL,
    hash          bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    revoked_at    timestamptz,
    expires_at    timestamptz,
    last_used_at  timestamptz,
    replaced_by   uuid,
    scopes        text[],
    allowed_cidrs cidr[],
    CONSTRAINT api_keys_prefix_unique UNIQUE (prefix),
    CONSTRAINT api_keys_hash_sha256 CHECK (length(hash) = 32),
    CONSTRAINT api_keys_scopes_some CHECK (cardinality(scopes) > 0),
    CONSTRAINT api_keys_allowed_cidrs_count CHECK (cardinality(allowed_cidrs) BETWEEN 1 AND 50)
);
COMMENT ON COLUMN api_keys.tenant_id IS 'null: an operator key';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the secret part; the secret itself is stored nowhere';
COMMENT ON COLUMN api_keys.last_used_at IS 'to the minute; what was not written yet is lost when a process ends';
COMMENT ON COLUMN api_keys.replaced_by IS 'the key that a rotation made; no foreign key, since a tenant is deleted in chunks';
COMMENT ON COLUMN api_keys.scopes IS 'null: all that a key of its kind may do';
COMMENT ON COLUMN api_keys.allowed_cidrs IS 'from where it may be used; null: from everywhere';
CREATE INDEX api_keys_tenant_id ON api_keys (tenant_id, created_at DESC, id DESC);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY api_keys_tenant ON api_keys TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY api_keys_system ON api_keys TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON api_keys TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO mailtura_system;

-- What API processes remember of keys and tenants they forget at this notification, which a
-- change brings itself, whoever makes it. Nothing on the way of an email does: the last use of
-- a key is not among the columns.
-- +goose StatementBegin
CREATE FUNCTION forget_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('mailtura_known', '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER api_keys_forget
    AFTER DELETE OR UPDATE OF tenant_id, prefix, hash, revoked_at, expires_at, scopes, allowed_cidrs ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION forget_known();
CREATE TRIGGER tenants_forget AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION forget_known();

-- +goose Down
DROP TABLE api_keys;
DROP TRIGGER tenants_forget ON tenants;
DROP FUNCTION forget_known();
