-- +goose Up
CREATE TABLE bulk_sends (
    tenant_id       text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id              uuid        NOT NULL,
    name            text        NOT NULL,
    status          text        NOT NULL DEFAULT 'uploading',
    class           text        NOT NULL,
    shared          bytea       NOT NULL,
    scheduled_at    timestamptz,
    expires_at      timestamptz,
    chunks          integer     NOT NULL DEFAULT 0,
    accepted        integer     NOT NULL DEFAULT 0,
    rejected        integer     NOT NULL DEFAULT 0,
    errors          integer     NOT NULL DEFAULT 0,
    run_id          text,
    created_at      timestamptz NOT NULL,
    progressed_at   timestamptz NOT NULL,
    finished_at     timestamptz,
    idempotency_key text COLLATE "C",
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT bulk_sends_status_known CHECK (status IN ('uploading', 'running', 'paused', 'cancelled', 'completed')),
    CONSTRAINT bulk_sends_class_known CHECK (class IN ('transactional', 'bulk')),
    CONSTRAINT bulk_sends_counts_positive CHECK (chunks >= 0 AND accepted >= 0 AND rejected >= 0 AND errors >= 0),
    CONSTRAINT bulk_sends_finished_at_set CHECK ((status IN ('cancelled', 'completed')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE bulk_sends IS 'one body for up to a million lines, a recipient each';
COMMENT ON COLUMN bulk_sends.shared IS 'email.Email as JSON: what all lines have in common. Their emails read their content from here';
COMMENT ON COLUMN bulk_sends.errors IS 'kept in bulk_send_errors; there may have been more';
COMMENT ON COLUMN bulk_sends.run_id IS 'run of bulk/<tenant>/<bulk send>; null until the workflow is known to have started';
COMMENT ON COLUMN bulk_sends.progressed_at IS 'when the process that takes the upload in last said that it does; from its end on, when it ended';
COMMENT ON COLUMN bulk_sends.idempotency_key IS 'of the request; its answer is in idempotency_keys from the end of the upload on';
CREATE UNIQUE INDEX bulk_sends_idempotency_key_unique ON bulk_sends (tenant_id, idempotency_key)
    WHERE status = 'uploading' AND idempotency_key IS NOT NULL; -- one upload at a time
CREATE INDEX bulk_sends_not_started ON bulk_sends (progressed_at) WHERE run_id IS NULL AND status IN ('uploading', 'running', 'paused');

CREATE TABLE bulk_send_chunks (
    tenant_id    text COLLATE "C" NOT NULL,
    bulk_send_id uuid        NOT NULL,
    number       integer     NOT NULL,
    skip         integer     NOT NULL,
    lines        integer     NOT NULL,
    content      bytea       NOT NULL,
    usage_day    date        NOT NULL,
    held         boolean     NOT NULL,
    release_at   timestamptz,
    taken_at     timestamptz,
    cancelled_at timestamptz,
    dispatch_id  uuid,
    passed       boolean     NOT NULL DEFAULT false,
    rest         uuid[]      NOT NULL DEFAULT '{}',
    sent         integer     NOT NULL DEFAULT 0,
    bounced      integer     NOT NULL DEFAULT 0,
    cancelled    integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, bulk_send_id, number),
    FOREIGN KEY (tenant_id, bulk_send_id) REFERENCES bulk_sends (tenant_id, id),
    CONSTRAINT bulk_send_chunks_lines_positive CHECK (lines > 0),
    CONSTRAINT bulk_send_chunks_skip_positive CHECK (skip >= 0),
    CONSTRAINT bulk_send_chunks_taken_once CHECK (taken_at IS NULL OR cancelled_at IS NULL),
    CONSTRAINT bulk_send_chunks_dispatch_claimed CHECK ((taken_at IS NULL) = (dispatch_id IS NULL)),
    CONSTRAINT bulk_send_chunks_lines_counted CHECK (
        sent + bounced + cancelled + cardinality(rest) = CASE WHEN taken_at IS NULL THEN 0 ELSE lines END)
) WITH (fillfactor = 80);
COMMENT ON COLUMN bulk_send_chunks.content IS 'lines as gzipped JSON, of which this chunk has those after skip; empty once it is taken or cancelled';
COMMENT ON COLUMN bulk_send_chunks.usage_day IS 'the day of daily_usage on which its lines are reserved';
COMMENT ON COLUMN bulk_send_chunks.held IS 'it was accepted over the daily limit';
COMMENT ON COLUMN bulk_send_chunks.release_at IS 'until then it waits, for its time or for a day with room; null: it need not';
COMMENT ON COLUMN bulk_send_chunks.passed IS 'nothing of it is queued or being sent any more';
COMMENT ON COLUMN bulk_send_chunks.rest IS 'its recipients, once it is taken, but for those that are counted in sent, bounced and cancelled, from which there is no way back';
CREATE INDEX bulk_send_chunks_waiting ON bulk_send_chunks (tenant_id, bulk_send_id, number)
    WHERE taken_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX bulk_send_chunks_dispatch_id ON bulk_send_chunks (dispatch_id) WHERE dispatch_id IS NOT NULL;
CREATE INDEX bulk_send_chunks_open ON bulk_send_chunks (tenant_id, bulk_send_id) WHERE taken_at IS NOT NULL AND NOT passed;

CREATE TABLE bulk_send_errors (
    tenant_id    text COLLATE "C" NOT NULL,
    bulk_send_id uuid    NOT NULL,
    number       integer NOT NULL,
    line         integer NOT NULL,
    location     text    NOT NULL,
    code         text    NOT NULL,
    message      text    NOT NULL,
    PRIMARY KEY (tenant_id, bulk_send_id, number),
    FOREIGN KEY (tenant_id, bulk_send_id) REFERENCES bulk_sends (tenant_id, id)
);
COMMENT ON TABLE bulk_send_errors IS 'why lines of an upload were rejected: the first ten thousand reasons';

ALTER TABLE emails ADD CONSTRAINT emails_bulk_send_id_fkey FOREIGN KEY (tenant_id, bulk_send_id) REFERENCES bulk_sends (tenant_id, id);
CREATE INDEX emails_bulk_send_id ON emails (bulk_send_id) WHERE bulk_send_id IS NOT NULL;

ALTER TABLE dispatches ADD CONSTRAINT dispatches_bulk_send_id_fkey FOREIGN KEY (tenant_id, bulk_send_id) REFERENCES bulk_sends (tenant_id, id);
CREATE INDEX dispatches_bulk_send_id ON dispatches (bulk_send_id) WHERE bulk_send_id IS NOT NULL;

ALTER TABLE bulk_sends ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY bulk_sends_tenant ON bulk_sends TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY bulk_sends_system ON bulk_sends TO mailtura_system USING (true);
ALTER TABLE bulk_send_chunks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY bulk_send_chunks_tenant ON bulk_send_chunks TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY bulk_send_chunks_system ON bulk_send_chunks TO mailtura_system USING (true);
ALTER TABLE bulk_send_errors ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY bulk_send_errors_tenant ON bulk_send_errors TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY bulk_send_errors_system ON bulk_send_errors TO mailtura_system USING (true);
GRANT SELECT ON bulk_sends, bulk_send_chunks, bulk_send_errors TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_sends, bulk_send_chunks TO mailtura_system;
GRANT SELECT, INSERT, DELETE ON bulk_send_errors TO mailtura_system;

-- +goose Down
DROP INDEX dispatches_bulk_send_id;
ALTER TABLE dispatches DROP CONSTRAINT dispatches_bulk_send_id_fkey;
DROP INDEX emails_bulk_send_id;
ALTER TABLE emails DROP CONSTRAINT emails_bulk_send_id_fkey;
DROP TABLE bulk_send_errors;
DROP TABLE bulk_send_chunks;
DROP TABLE bulk_sends;
