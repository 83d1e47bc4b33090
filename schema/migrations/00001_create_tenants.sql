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
    suspension jsonb       NOT NULL DEFAULT '{}',
    followed   boolean     NOT NULL DEFAULT true,
    senders    bigint      NOT NULL DEFAULT 0,
    CONSTRAINT tenants_id_slug CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT tenants_status_known CHECK (status IN ('provisioning', 'active', 'draining', 'suspended', 'deleting')),
    CONSTRAINT tenants_suspension_flagged CHECK (status = 'deleting' OR (status IN ('draining', 'suspended')) = (suspension <> '{}'))
);
COMMENT ON COLUMN tenants.settings IS 'tenant.Settings as JSON; absent members have their defaults';
COMMENT ON COLUMN tenants.version IS 'counts every change; quota workflows take the newest limits by it';
COMMENT ON COLUMN tenants.suspension IS 'tenant.Suspension as JSON: the flags that are set, and why; a tenant that is deleted keeps them';
COMMENT ON COLUMN tenants.followed IS 'tenant/<tenant>/suspend has done what follows from the last change of suspension';
COMMENT ON COLUMN tenants.senders IS 'version in which its verified domains or their keys changed last; 0: it has none. Who has the row sees whether what it remembers of them still holds';
CREATE INDEX tenants_not_followed ON tenants (updated_at) WHERE NOT followed;
CREATE INDEX tenants_fenced ON tenants (id) WHERE status IN ('suspended', 'deleting');
CREATE INDEX tenants_created_at_id ON tenants (created_at DESC, id DESC);

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants_own ON tenants TO mailtura_request
    USING (id = current_setting('mailtura.tenant_id', true));
CREATE POLICY tenants_system ON tenants TO mailtura_system USING (true);
GRANT SELECT ON tenants TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants TO mailtura_system;

CREATE TABLE tenant_deletions (
    id            uuid PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL,
    status        text        NOT NULL,
    status_before text        NOT NULL,
    grace_ends_at timestamptz,
    counts        jsonb       NOT NULL DEFAULT '{}',
    totals        jsonb,
    receipt       jsonb,
    run_id        text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,
    finished_at   timestamptz,
    CONSTRAINT tenant_deletions_status_known CHECK (status IN ('scheduled', 'running', 'completed', 'restored')),
    CONSTRAINT tenant_deletions_grace_ends_at_set CHECK (status IN ('running', 'completed') OR grace_ends_at IS NOT NULL),
    CONSTRAINT tenant_deletions_started_at_set CHECK ((status IN ('running', 'completed')) = (started_at IS NOT NULL)),
    CONSTRAINT tenant_deletions_finished_at_set CHECK ((status IN ('completed', 'restored')) = (finished_at IS NOT NULL)),
    CONSTRAINT tenant_deletions_receipt_set CHECK ((status = 'completed') = (receipt IS NOT NULL))
);
COMMENT ON TABLE tenant_deletions IS 'outlives its tenant, so it has no foreign key; operators only';
COMMENT ON COLUMN tenant_deletions.status_before IS 'of the tenant, which it gets back when it is restored';
COMMENT ON COLUMN tenant_deletions.grace_ends_at IS 'until then the tenant can be restored; null: it never could';
COMMENT ON COLUMN tenant_deletions.counts IS 'rows deleted so far, by table';
COMMENT ON COLUMN tenant_deletions.totals IS 'rows that there were when it started, by table; null: they are not counted yet';
COMMENT ON COLUMN tenant_deletions.receipt IS 'tenant.Receipt as JSON';
CREATE UNIQUE INDEX tenant_deletions_open_unique ON tenant_deletions (tenant_id) WHERE status IN ('scheduled', 'running');

ALTER TABLE tenant_deletions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_deletions_system ON tenant_deletions TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON tenant_deletions TO mailtura_system;

-- What the list of tenants shows and sorts by. A worker makes it anew every few seconds, so
-- that nothing is written for it when mail is accepted or sent (ADR 12).
CREATE TABLE tenant_summaries (
    tenant_id text COLLATE "C" PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    day       date    NOT NULL,
    used      integer NOT NULL,
    backlog   integer NOT NULL,
    oldest_at timestamptz,
    sent      integer NOT NULL,
    bounced   integer NOT NULL,
    counted   uuid    NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN tenant_summaries.day IS 'the tenant''s calendar day of which used is';
COMMENT ON COLUMN tenant_summaries.oldest_at IS 'when the oldest email of the backlog was accepted';
COMMENT ON COLUMN tenant_summaries.sent IS 'of the last 7 days, as is bounced: the sum of tenant_outcomes';
COMMENT ON COLUMN tenant_summaries.counted IS 'the last event that is in tenant_outcomes';

CREATE TABLE tenant_outcomes (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day       date    NOT NULL,
    sent      integer NOT NULL,
    bounced   integer NOT NULL,
    PRIMARY KEY (tenant_id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant_outcomes IS 'recipients by the UTC day on which they were sent to, or bounced; of the last days only';

CREATE TABLE tenant_summaries_made (
    only_row boolean PRIMARY KEY DEFAULT true,
    at       timestamptz NOT NULL,
    CONSTRAINT tenant_summaries_made_only_row_true CHECK (only_row)
);
COMMENT ON TABLE tenant_summaries_made IS 'when tenant_summaries was made last; who makes it locks the row';
INSERT INTO tenant_summaries_made (at) VALUES (to_timestamp(0));

ALTER TABLE tenant_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_summaries_system ON tenant_summaries TO mailtura_system USING (true);
ALTER TABLE tenant_outcomes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_outcomes_system ON tenant_outcomes TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_summaries TO mailtura_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_outcomes TO mailtura_system;
GRANT SELECT, UPDATE ON tenant_summaries_made TO mailtura_system;

-- +goose Down
DROP TABLE tenant_summaries_made;
DROP TABLE tenant_outcomes;
DROP TABLE tenant_summaries;
DROP TABLE tenant_deletions;
DROP TABLE tenants;
