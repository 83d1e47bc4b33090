-- +goose Up
-- Only migrations work as the role that owns the tables (ADR 6). The request path runs as
-- mailtura_request, which sees what the policies let it see: the rows of one tenant. Accepting,
-- delivering and operators run as mailtura_system, which sees all rows, and may do to each table
-- what they do to it. The audit log is written and read as mailtura_audit. The policies are forced, so they hold for the owner too.
-- A role belongs to the cluster: an administrator, or another database of it, may have made it.
-- +goose StatementBegin
DO $$
DECLARE
    before text := current_setting('role');
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['mailtura_request', 'mailtura_system', 'mailtura_audit'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN -- by another at the same time
            NULL;
        END;
        BEGIN
            PERFORM set_config('role', wanted, true);
            PERFORM set_config('role', before, true);
        EXCEPTION WHEN insufficient_privilege THEN -- since PostgreSQL 16 who made a role can not be it at once
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

CREATE TABLE tenants (
    id         text COLLATE "C" PRIMARY KEY,
    name       text        NOT NULL,
    domain     text        NOT NULL,
    status     text        NOT NULL DEFAULT 'provisioning',
    settings   jsonb       NOT NULL DEFAULT '{}',
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_id_slug CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT tenants_status_known CHECK (status IN ('provisioning', 'active', 'deleting'))
);
COMMENT ON COLUMN tenants.settings IS 'tenant.Settings as JSON; absent members have their defaults';
COMMENT ON COLUMN tenants.version IS 'counts every change; quota workflows take the newest limits by it';
CREATE INDEX tenants_created_at_id ON tenants (created_at DESC, id DESC);

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants_own ON tenants TO mailtura_request
    USING (id = current_setting('mailtura.tenant_id', true));
CREATE POLICY tenants_system ON tenants TO mailtura_system USING (true);
GRANT SELECT ON tenants TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants TO mailtura_system;

CREATE TABLE tenant_deletions (
    id          uuid PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    status      text        NOT NULL DEFAULT 'running',
    counts      jsonb       NOT NULL DEFAULT '{}',
    run_id      text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT tenant_deletions_status_known CHECK (status IN ('running', 'completed')),
    CONSTRAINT tenant_deletions_finished_at_set CHECK ((status = 'completed') = (finished_at IS NOT NULL))
);
COMMENT ON TABLE tenant_deletions IS 'outlives its tenant, so it has no foreign key; operators only';
COMMENT ON COLUMN tenant_deletions.counts IS 'rows deleted so far, by table';

ALTER TABLE tenant_deletions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_deletions_system ON tenant_deletions TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON tenant_deletions TO mailtura_system;

-- +goose Down
DROP TABLE tenant_deletions;
DROP TABLE tenants;
