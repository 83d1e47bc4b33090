-- +goose Up
-- What the log of events comes to. A roller adds events to it in their order, and moves the
-- tenant's cursor in the same transaction, so that each event is counted once.
CREATE TABLE metrics (
    tenant_id         text COLLATE "C" NOT NULL REFERENCES tenants (id),
    dimension         text COLLATE "C" NOT NULL,
    grain             text COLLATE "C" NOT NULL,
    at                timestamptz NOT NULL,
    key               text COLLATE "C" NOT NULL,
    accepted          integer NOT NULL DEFAULT 0,
    sent              integer NOT NULL DEFAULT 0,
    delivered         integer NOT NULL DEFAULT 0,
    deferred          integer NOT NULL DEFAULT 0,
    bounced           integer NOT NULL DEFAULT 0,
    failed            integer NOT NULL DEFAULT 0,
    complained        integer NOT NULL DEFAULT 0,
    opened            integer NOT NULL DEFAULT 0,
    unique_opened     integer NOT NULL DEFAULT 0,
    automated_opened  integer NOT NULL DEFAULT 0,
    clicked           integer NOT NULL DEFAULT 0,
    unique_clicked    integer NOT NULL DEFAULT 0,
    automated_clicked integer NOT NULL DEFAULT 0,
    unsubscribed      integer NOT NULL DEFAULT 0,
    suppressed        integer NOT NULL DEFAULT 0,
    expired           integer NOT NULL DEFAULT 0,
    cancelled         integer NOT NULL DEFAULT 0,
    unknown           integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, dimension, grain, at, key),
    CONSTRAINT metrics_dimension_known CHECK (dimension IN ('total', 'template', 'tag', 'domain')),
    CONSTRAINT metrics_grain_known CHECK (grain IN ('quarter', 'hour', 'day'))
) WITH (fillfactor = 80);
COMMENT ON COLUMN metrics.grain IS 'quarters of an hour make up the days of every time zone; hours are those of UTC, days those of metric_cursors.timezone';
COMMENT ON COLUMN metrics.at IS 'beginning of the quarter or hour; of a day, its date at 0:00 UTC';
COMMENT ON COLUMN metrics.key IS 'name of the template, tag or domain; empty: none, and of the total';

CREATE TABLE metric_uniques (
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenants (id),
    recipient_id uuid NOT NULL,
    kind         text NOT NULL,
    PRIMARY KEY (recipient_id, kind, tenant_id)
);
COMMENT ON TABLE metric_uniques IS 'recipients whose first opened or clicked is counted';
CREATE INDEX metric_uniques_tenant_id ON metric_uniques (tenant_id);

CREATE TABLE metric_cursors (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants (id),
    event_id  uuid NOT NULL,
    timezone  text NOT NULL,
    PRIMARY KEY (tenant_id)
) WITH (fillfactor = 50);
COMMENT ON COLUMN metric_cursors.event_id IS 'the last event that is in metrics, as are all before it';
COMMENT ON COLUMN metric_cursors.timezone IS 'in which the days of metrics are; they are made anew when the tenant has another';

ALTER TABLE metrics ENABLE ROW LEVEL SECURITY;
ALTER TABLE metrics FORCE ROW LEVEL SECURITY;
CREATE POLICY metrics_system ON metrics TO mailtura_system USING (true);
CREATE POLICY metrics_tenant ON metrics TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
ALTER TABLE metric_uniques ENABLE ROW LEVEL SECURITY;
ALTER TABLE metric_uniques FORCE ROW LEVEL SECURITY;
CREATE POLICY metric_uniques_system ON metric_uniques TO mailtura_system USING (true);
CREATE POLICY metric_uniques_tenant ON metric_uniques TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
ALTER TABLE metric_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE metric_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY metric_cursors_system ON metric_cursors TO mailtura_system USING (true);
CREATE POLICY metric_cursors_tenant ON metric_cursors TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
GRANT SELECT ON metrics, metric_uniques, metric_cursors TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON metrics, metric_uniques, metric_cursors TO mailtura_system;

-- +goose Down
DROP TABLE metric_cursors;
DROP TABLE metric_uniques;
DROP TABLE metrics;
