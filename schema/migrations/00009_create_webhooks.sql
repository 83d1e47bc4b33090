-- +goose Up
CREATE TABLE webhooks (
    tenant_id       text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id              uuid        NOT NULL,
    url             text        NOT NULL,
    events          text[]      NOT NULL,
    enabled         boolean     NOT NULL,
    disabled_reason text,
    disabled_at     timestamptz,
    secret          bytea       NOT NULL,
    old_secret      bytea,
    old_secret_ends timestamptz,
    cursor          uuid        NOT NULL,
    quiet_until     timestamptz NOT NULL,
    failures        integer     NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT webhooks_events_some CHECK (cardinality(events) BETWEEN 1 AND 50),
    CONSTRAINT webhooks_disabled_reason_known CHECK (disabled_reason IN ('request', 'gone', 'failing')),
    CONSTRAINT webhooks_disabled_with_reason CHECK (enabled = (disabled_reason IS NULL) AND enabled = (disabled_at IS NULL)),
    CONSTRAINT webhooks_old_secret_with_end CHECK ((old_secret IS NULL) = (old_secret_ends IS NULL)),
    CONSTRAINT webhooks_failing_since_counted CHECK ((failures = 0) = (failing_since IS NULL))
) WITH (fillfactor = 50);
COMMENT ON COLUMN webhooks.events IS 'types of events, groups of them (email.*), or *';
COMMENT ON COLUMN webhooks.disabled_reason IS 'request: a PATCH; gone: an answer 410; failing: every call failed for days';
COMMENT ON COLUMN webhooks.secret IS 'sealed with the master key; calls are signed with it, and until its end with the old one too';
COMMENT ON COLUMN webhooks.cursor IS 'every event up to here was called, waits in webhook_retries, or is not of its events';
COMMENT ON COLUMN webhooks.quiet_until IS 'until then nobody need look: a workflow is at it, or the endpoint is given a rest';
COMMENT ON COLUMN webhooks.failures IS 'calls that failed since the last good one';
CREATE INDEX webhooks_enabled ON webhooks (tenant_id, id) WHERE enabled;

CREATE TABLE webhook_retries (
    tenant_id  text COLLATE "C" NOT NULL,
    webhook_id uuid        NOT NULL,
    event_id   uuid        NOT NULL,
    attempts   integer     NOT NULL,
    next_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id, event_id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_retries_attempts_positive CHECK (attempts >= 0)
) WITH (fillfactor = 80);
COMMENT ON TABLE webhook_retries IS 'calls that failed and are made again, and calls that were asked for by a replay';
COMMENT ON COLUMN webhook_retries.attempts IS 'calls that were made; 0: a replay, which begins anew';
CREATE INDEX webhook_retries_next_at ON webhook_retries (tenant_id, webhook_id, next_at);

CREATE TABLE webhook_deliveries (
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenants (id),
    webhook_id  uuid        NOT NULL,
    id          uuid        NOT NULL,
    event_id    uuid        NOT NULL,
    event_type  text        NOT NULL,
    attempt     integer     NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms integer     NOT NULL,
    status_code integer,
    response    text        NOT NULL,
    error       text        NOT NULL,
    next_at     timestamptz,
    PRIMARY KEY (tenant_id, webhook_id, id),
    CONSTRAINT webhook_deliveries_response_short CHECK (octet_length(response) <= 1024)
);
COMMENT ON TABLE webhook_deliveries IS 'the log of calls, kept for a week; it outlives its webhook, which is deleted at once';
COMMENT ON COLUMN webhook_deliveries.error IS 'why the call failed, in a word; empty: it did not';
COMMENT ON COLUMN webhook_deliveries.next_at IS 'when it is made again; null: it is not';
CREATE INDEX webhook_deliveries_started_at ON webhook_deliveries USING brin (started_at) WITH (autosummarize = on);

-- Whether a webhook for these events is told of one of a type.
-- +goose StatementBegin
CREATE FUNCTION webhook_wants(events text[], type text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT type = ANY (events) OR '*' = ANY (events) OR split_part(type, '.', 1) || '.*' = ANY (events)
$$;
-- +goose StatementEnd

-- An email's events lie close together, so that a small index finds them.
CREATE INDEX events_email_id ON events USING brin (email_id) WITH (autosummarize = on);

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks FORCE ROW LEVEL SECURITY;
CREATE POLICY webhooks_system ON webhooks TO mailtura_system USING (true);
CREATE POLICY webhooks_tenant ON webhooks TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
ALTER TABLE webhook_retries ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_retries FORCE ROW LEVEL SECURITY;
CREATE POLICY webhook_retries_system ON webhook_retries TO mailtura_system USING (true);
CREATE POLICY webhook_retries_tenant ON webhook_retries TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY webhook_deliveries_system ON webhook_deliveries TO mailtura_system USING (true);
CREATE POLICY webhook_deliveries_tenant ON webhook_deliveries TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_retries TO mailtura_request;
GRANT SELECT ON webhook_deliveries TO mailtura_request;
GRANT SELECT, UPDATE, DELETE ON webhooks TO mailtura_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_retries TO mailtura_system;
GRANT SELECT, INSERT, DELETE ON webhook_deliveries TO mailtura_system;

-- +goose Down
DROP INDEX events_email_id;
DROP FUNCTION webhook_wants(text[], text);
DROP TABLE webhook_deliveries;
DROP TABLE webhook_retries;
DROP TABLE webhooks;
