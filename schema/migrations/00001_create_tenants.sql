-- +goose Up
-- The request path runs as this role. It owns nothing and can not bypass row-level
-- security: what it sees is what the policies below and in later migrations let it see.
-- A role belongs to the cluster, so another database of it may have made it already.
-- +goose StatementBegin
DO $$
BEGIN
    CREATE ROLE mailtura_request NOLOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'mailtura_request', 'MEMBER') THEN
        GRANT mailtura_request TO CURRENT_USER;
    END IF;
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

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants_own ON tenants TO mailtura_request
    USING (id = current_setting('mailtura.tenant_id', true));
GRANT SELECT ON tenants TO mailtura_request;

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

-- +goose Down
DROP TABLE tenant_deletions;
DROP TABLE tenants;
