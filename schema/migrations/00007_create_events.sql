-- +goose Up
-- The id of an event is its place in the log (ADR 11): the number of the transaction that
-- states the fact, then a number that ascends in it, as a UUID of version 8 (RFC 9562).
CREATE SEQUENCE events_order CACHE 64;

-- +goose StatementBegin
CREATE FUNCTION event_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex(pg_current_xact_id()::text::bigint), 12, '0') || '80008' || lpad(to_hex(nextval('events_order')), 15, '0'))::uuid
$$;
-- +goose StatementEnd

-- Every transaction with a number below this has ended, so no event can come to be before it.
-- +goose StatementBegin
CREATE FUNCTION events_horizon() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex(pg_snapshot_xmin(pg_current_snapshot())::text::bigint), 12, '0') || '80008000000000000000')::uuid
$$;
-- +goose StatementEnd

CREATE TABLE events (
    tenant_id    text COLLATE "C" NOT NULL,
    id           uuid        NOT NULL DEFAULT event_id(),
    type         text        NOT NULL,
    email_id     uuid,
    recipient_id uuid,
    attempt      integer,
    data         jsonb,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
-- Suspensions are few, and every timeline asks for them.
CREATE INDEX events_suspensions ON events (tenant_id, id) WHERE type IN ('tenant.suspended', 'tenant.resumed');
COMMENT ON TABLE events IS 'append-only; a row is written by the statement that states its fact, from rows that exist, so it has no foreign keys';
COMMENT ON COLUMN events.attempt IS 'number of the attempt of the recipient that it tells of';
COMMENT ON COLUMN events.data IS 'what no other table has';

ALTER TABLE events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY events_tenant ON events TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY events_system ON events TO mailtura_system USING (true);
GRANT SELECT ON events TO mailtura_request;
GRANT SELECT, INSERT, DELETE ON events TO mailtura_system;
GRANT USAGE ON SEQUENCE events_order TO mailtura_system;

-- +goose Down
DROP TABLE events;
DROP FUNCTION events_horizon();
DROP FUNCTION event_id();
DROP SEQUENCE events_order;
