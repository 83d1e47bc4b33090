-- +goose Up
CREATE TABLE domains (
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id            uuid        NOT NULL,
    name          text COLLATE "C" NOT NULL,
    status        text        NOT NULL DEFAULT 'pending',
    verified_at   timestamptz,
    failing_since timestamptz,
    answers       jsonb       NOT NULL DEFAULT '[]',
    looks         integer     NOT NULL DEFAULT 0,
    checked_at    timestamptz,
    check_at      timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT domains_name_unique UNIQUE (tenant_id, name),
    CONSTRAINT domains_name_form CHECK (name ~ '^[a-z0-9.-]{3,220}$'),
    CONSTRAINT domains_status_known CHECK (status IN ('pending', 'verified', 'failing', 'lost')),
    CONSTRAINT domains_verified_at_set CHECK ((status = 'pending') = (verified_at IS NULL)),
    CONSTRAINT domains_failing_since_set CHECK ((status IN ('failing', 'lost')) = (failing_since IS NOT NULL))
) WITH (fillfactor = 50);
COMMENT ON COLUMN domains.name IS 'lower case, IDNA A-labels';
COMMENT ON COLUMN domains.verified_at IS 'when its records were found last, after they had not been';
COMMENT ON COLUMN domains.answers IS 'what the DNS said when it was asked last: domain.Answer as JSON';
COMMENT ON COLUMN domains.looks IS 'since it was made, or something was to be seen soon: with each, the next is later';
COMMENT ON COLUMN domains.check_at IS 'when its workflow looks again; where that is long over, there is none';
CREATE INDEX domains_check_at ON domains (check_at);
-- Whoever else has its records too has to wait: nobody sends in the name of a domain that another tenant sends from.
CREATE UNIQUE INDEX domains_verified_unique ON domains (name) WHERE status IN ('verified', 'failing');

CREATE TABLE domain_keys (
    tenant_id   text COLLATE "C" NOT NULL,
    domain_id   uuid        NOT NULL,
    selector    text        NOT NULL,
    generation  integer     NOT NULL,
    algorithm   text        NOT NULL,
    record      text        NOT NULL,
    private_key bytea       NOT NULL,
    seen_at     timestamptz,
    retired_at  timestamptz,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, domain_id, selector),
    FOREIGN KEY (tenant_id, domain_id) REFERENCES domains (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT domain_keys_generation_unique UNIQUE (tenant_id, domain_id, generation, algorithm),
    CONSTRAINT domain_keys_algorithm_known CHECK (algorithm IN ('rsa', 'ed25519')),
    CONSTRAINT domain_keys_retired_at_after_seen CHECK (retired_at IS NULL OR seen_at IS NOT NULL)
);
COMMENT ON COLUMN domain_keys.generation IS 'counts rotations: the keys of one are made and replaced together';
COMMENT ON COLUMN domain_keys.record IS 'text of the TXT record at <selector>._domainkey.<domain>';
COMMENT ON COLUMN domain_keys.private_key IS 'PEM, sealed with the master key; the request path can write it, and not read it';
COMMENT ON COLUMN domain_keys.seen_at IS 'when the records of its generation were found; since then mail is signed with it';
COMMENT ON COLUMN domain_keys.retired_at IS 'when those of a later generation were; since then mail is not signed with it';

ALTER TABLE domains ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY domains_system ON domains TO mailtura_system USING (true);
CREATE POLICY domains_tenant ON domains TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
ALTER TABLE domain_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_keys_system ON domain_keys TO mailtura_system USING (true);
CREATE POLICY domain_keys_tenant ON domain_keys TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
-- Requests make domains and keys. Whether a domain is verified, and by which keys, is said by who has looked.
GRANT SELECT, INSERT, UPDATE (looks, check_at, updated_at) ON domains TO mailtura_request;
GRANT SELECT (tenant_id, domain_id, selector, generation, algorithm, record, seen_at, retired_at, created_at), INSERT, DELETE
    ON domain_keys TO mailtura_request;
GRANT SELECT, UPDATE, DELETE ON domains TO mailtura_system;
GRANT SELECT, UPDATE, DELETE ON domain_keys TO mailtura_system;

-- +goose Down
DROP TABLE domain_keys;
DROP TABLE domains;
