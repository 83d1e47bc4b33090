-- +goose Up
-- Entries are written and read as mailtura_audit only, whichever role the act itself has: it
-- may add to the log, and nothing else.
CREATE TABLE audit_log (
    number        bigint PRIMARY KEY,
    at            timestamptz NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        NOT NULL,
    action        text        NOT NULL,
    tenant_id     text COLLATE "C",
    target        text        NOT NULL,
    before        jsonb,
    after         jsonb,
    note          text        NOT NULL,
    request_id    text        NOT NULL,
    previous_hash bytea       NOT NULL,
    hash          bytea       NOT NULL,
    CONSTRAINT audit_log_number_positive CHECK (number > 0),
    CONSTRAINT audit_log_action_form CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_log_previous_hash_sha256 CHECK (length(previous_hash) = 32),
    CONSTRAINT audit_log_hash_sha256 CHECK (length(hash) = 32)
);
COMMENT ON TABLE audit_log IS 'append-only and hash-chained (package audit has the form); outlives the tenants that it tells of; operators only';
COMMENT ON COLUMN audit_log.number IS 'counts from 1 without a gap';
COMMENT ON COLUMN audit_log.before IS 'the members that the act has changed, as they were; no secrets';
COMMENT ON COLUMN audit_log.previous_hash IS 'of the entry before; zeros for the first';
CREATE INDEX audit_log_tenant_id ON audit_log (tenant_id, number DESC) WHERE tenant_id IS NOT NULL;
CREATE INDEX audit_log_actor_id ON audit_log (actor_id, number DESC);
CREATE INDEX audit_log_action ON audit_log (action, number DESC);

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_log_audit ON audit_log TO mailtura_audit USING (true);
GRANT SELECT, INSERT ON audit_log TO mailtura_audit;

-- The owner needs no privilege, so a trigger refuses what would change an entry, in sessions
-- of replication too.
-- +goose StatementBegin
CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: no %', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse();
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_append_only;

-- +goose Down
DROP TABLE audit_log;
DROP FUNCTION audit_log_refuse();
