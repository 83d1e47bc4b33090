-- +goose Up
-- Rows are reached by ids, which ascend with time, so the keys begin with them: what is
-- written is at the end of an index for all tenants, and no statement can be planned to
-- read all that a tenant has. What belongs to an email is found and deleted through it.
CREATE TABLE dispatches (
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id           uuid        NOT NULL,
    class        text        NOT NULL,
    emails       integer     NOT NULL,
    run_id       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    bulk_send_id uuid,
    PRIMARY KEY (id, tenant_id)
);
COMMENT ON TABLE dispatches IS 'a group of emails that one SendEmails workflow carries';
COMMENT ON COLUMN dispatches.emails IS 'how many it was made of; a retried email moves on to another';
COMMENT ON COLUMN dispatches.run_id IS 'run of send/<tenant>/<dispatch>; null until the workflow is known to have started';
COMMENT ON COLUMN dispatches.bulk_send_id IS 'the bulk send of which it carries a chunk';
COMMENT ON COLUMN dispatches.finished_at IS 'since then every recipient has a final status';
CREATE INDEX dispatches_tenant_id ON dispatches (tenant_id, id);
CREATE INDEX dispatches_open ON dispatches (tenant_id) WHERE finished_at IS NULL;
CREATE INDEX dispatches_carried ON dispatches (id) WHERE finished_at IS NULL;
CREATE INDEX dispatches_not_started ON dispatches (created_at) WHERE run_id IS NULL;

CREATE TABLE emails (
    tenant_id        text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id               uuid        NOT NULL,
    dispatch_id      uuid,
    subject          text        NOT NULL,
    from_address     text        NOT NULL,
    from_name        text        NOT NULL,
    template_id      uuid,
    template_version integer,
    tags             text[]      NOT NULL,
    metadata         jsonb       NOT NULL,
    trace_parent     text        NOT NULL,
    class            text        NOT NULL,
    usage_day        date        NOT NULL,
    scheduled_at     timestamptz,
    expires_at       timestamptz,
    held             boolean     NOT NULL DEFAULT false,
    release_at       timestamptz,
    retried_at       timestamptz,
    bulk_send_id     uuid,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (id, tenant_id),
    FOREIGN KEY (tenant_id, template_id, template_version)
        REFERENCES template_versions (tenant_id, template_id, version),
    CONSTRAINT emails_template_pinned CHECK ((template_id IS NULL) = (template_version IS NULL)),
    CONSTRAINT emails_class_known CHECK (class IN ('transactional', 'bulk'))
);
COMMENT ON COLUMN emails.dispatch_id IS 'claimed once; null: no workflow carries it yet';
COMMENT ON COLUMN emails.subject IS 'as asked for, before rendering; empty when the template has it';
COMMENT ON COLUMN emails.trace_parent IS 'W3C traceparent of the request that was accepted; may be empty';
COMMENT ON COLUMN emails.usage_day IS 'the day of daily_usage on which its recipients are reserved';
COMMENT ON COLUMN emails.held IS 'it was accepted over the daily limit';
COMMENT ON COLUMN emails.retried_at IS 'when the 72 hours of its attempts were begun anew: it was released, or somebody had it tried again';
COMMENT ON COLUMN emails.bulk_send_id IS 'the bulk send whose line it was; its content but for the variables is there';
COMMENT ON COLUMN emails.release_at IS 'until then it waits, for its time or for a day with room; null: it need not; the year 9999: cancelled before it was sent';
CREATE INDEX emails_pending ON emails (id) WHERE dispatch_id IS NULL AND release_at IS NULL;
CREATE INDEX emails_tenant_id ON emails (tenant_id, id);
CREATE INDEX emails_dispatch_id ON emails (dispatch_id) WHERE dispatch_id IS NOT NULL;
CREATE INDEX emails_waiting ON emails (release_at, id) WHERE release_at IS NOT NULL;
CREATE INDEX emails_waiting_tenant_id ON emails (tenant_id) WHERE release_at IS NOT NULL;

CREATE TABLE email_contents (
    tenant_id text COLLATE "C" NOT NULL,
    email_id  uuid  NOT NULL,
    content   bytea NOT NULL,
    PRIMARY KEY (email_id, tenant_id),
    FOREIGN KEY (tenant_id, email_id) REFERENCES emails (tenant_id, id)
);
COMMENT ON COLUMN email_contents.content IS 'email.Content as JSON';
-- lz4 takes a third of the time of the default; a PostgreSQL can be built without it.
-- +goose StatementBegin
DO $$
BEGIN
    ALTER TABLE email_contents ALTER COLUMN content SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
-- +goose StatementEnd

CREATE TABLE recipients (
    tenant_id       text COLLATE "C" NOT NULL,
    id              uuid        NOT NULL,
    email_id        uuid        NOT NULL,
    position        smallint    NOT NULL,
    kind            text        NOT NULL,
    address         text        NOT NULL,
    name            text        NOT NULL,
    status          text        NOT NULL DEFAULT 'queued',
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    reason          text        NOT NULL DEFAULT '',
    detail          text        NOT NULL DEFAULT '',
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant_id),
    FOREIGN KEY (tenant_id, email_id) REFERENCES emails (tenant_id, id),
    CONSTRAINT recipients_kind_known CHECK (kind IN ('to', 'cc', 'bcc')),
    CONSTRAINT recipients_status_known CHECK (status IN (
        'scheduled', 'held', 'queued', 'sending', 'deferred', 'sent', 'bounced', 'failed', 'cancelled', 'expired', 'unknown')),
    CONSTRAINT recipients_attempts_positive CHECK (attempts >= 0)
) WITH (fillfactor = 80);
COMMENT ON COLUMN recipients.reason IS 'category of the last answer, such as mailbox_full; empty when there was none';
COMMENT ON COLUMN recipients.detail IS 'the last SMTP answer, or why there is none';
CREATE INDEX recipients_email_id ON recipients (email_id);
-- Whom mail went to is asked for now and then, and written with each: a filter for each range
-- of the table costs next to nothing, where a place in an order of addresses would cost a page.
CREATE INDEX recipients_address ON recipients USING brin (address text_bloom_ops) WITH (autosummarize = on);

CREATE TABLE attempts (
    tenant_id    text COLLATE "C" NOT NULL,
    recipient_id uuid        NOT NULL,
    number       integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    verdict      text,
    phase        text,
    code         integer,
    enhanced     text,
    reply        text,
    peer         text,
    tls          boolean,
    dialogue     text,
    PRIMARY KEY (recipient_id, number, tenant_id),
    FOREIGN KEY (tenant_id, recipient_id) REFERENCES recipients (tenant_id, id),
    CONSTRAINT attempts_verdict_known CHECK (verdict IN ('accepted', 'deferred', 'bounced', 'failed', 'unknown')),
    CONSTRAINT attempts_verdict_set CHECK ((finished_at IS NULL) = (verdict IS NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE attempts IS 'the ledger: a row is written before the hand-over, its outcome after it';
COMMENT ON COLUMN attempts.dialogue IS 'what both sides said, a line each, without the message';

CREATE TABLE daily_usage (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants (id),
    day       date    NOT NULL,
    reserved  integer  NOT NULL,
    told      smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, day),
    CONSTRAINT daily_usage_reserved_positive CHECK (reserved >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE daily_usage IS 'recipients reserved per calendar day of the tenant''s time zone; days to come have those that are scheduled or held';
COMMENT ON COLUMN daily_usage.told IS 'the highest share of the limit, in percent, that an event has told of';

ALTER TABLE dispatches ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY dispatches_tenant ON dispatches TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY dispatches_system ON dispatches TO mailtura_system USING (true);
ALTER TABLE emails ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY emails_tenant ON emails TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY emails_system ON emails TO mailtura_system USING (true);
ALTER TABLE email_contents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY email_contents_tenant ON email_contents TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY email_contents_system ON email_contents TO mailtura_system USING (true);
ALTER TABLE recipients ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY recipients_tenant ON recipients TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY recipients_system ON recipients TO mailtura_system USING (true);
ALTER TABLE attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY attempts_tenant ON attempts TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY attempts_system ON attempts TO mailtura_system USING (true);
ALTER TABLE daily_usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY daily_usage_tenant ON daily_usage TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY daily_usage_system ON daily_usage TO mailtura_system USING (true);
GRANT SELECT ON dispatches, emails, email_contents, recipients, attempts, daily_usage TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON dispatches, emails, recipients, attempts, daily_usage TO mailtura_system;
GRANT SELECT, INSERT, DELETE ON email_contents TO mailtura_system;

-- +goose Down
DROP TABLE daily_usage;
DROP TABLE attempts;
DROP TABLE recipients;
DROP TABLE email_contents;
DROP TABLE emails;
DROP TABLE dispatches;
