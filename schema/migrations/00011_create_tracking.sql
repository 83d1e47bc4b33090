-- +goose Up
CREATE TABLE engagements (
    tenant_id        text COLLATE "C" NOT NULL,
    recipient_id     uuid    NOT NULL,
    opens            integer NOT NULL DEFAULT 0,
    clicks           integer NOT NULL DEFAULT 0,
    automated_opens  integer NOT NULL DEFAULT 0,
    automated_clicks integer NOT NULL DEFAULT 0,
    opened_at        timestamptz,
    clicked_at       timestamptz,
    last_clicked_at  timestamptz,
    last_link        integer NOT NULL DEFAULT 0,
    PRIMARY KEY (recipient_id, tenant_id),
    FOREIGN KEY (tenant_id, recipient_id) REFERENCES recipients (tenant_id, id),
    CONSTRAINT engagements_opened_at_set CHECK ((opens > 0) = (opened_at IS NOT NULL)),
    CONSTRAINT engagements_clicked_at_set CHECK ((clicks > 0) = (clicked_at IS NOT NULL)),
    CONSTRAINT engagements_last_clicked_at_set CHECK ((clicks + automated_clicks > 0) = (last_clicked_at IS NOT NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE engagements IS 'what recipients did with a tracked email; no row: nothing yet. Not columns of recipients, which sending writes to';
COMMENT ON COLUMN engagements.opens IS 'by people, as far as that can be told; those of machines are in automated_opens';
COMMENT ON COLUMN engagements.opened_at IS 'the first by a person';
COMMENT ON COLUMN engagements.last_link IS 'index of the link of the last click, whoever made it';

ALTER TABLE engagements ENABLE ROW LEVEL SECURITY;
ALTER TABLE engagements FORCE ROW LEVEL SECURITY;
CREATE POLICY engagements_system ON engagements TO mailtura_system USING (true);
CREATE POLICY engagements_tenant ON engagements TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
GRANT SELECT ON engagements TO mailtura_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON engagements TO mailtura_system;

-- Whose links a request is for is told by its Host.
CREATE UNIQUE INDEX tenants_tracking_domain_unique ON tenants ((settings #>> '{tracking,domain}'));

CREATE TABLE installation_secrets (
    name   text PRIMARY KEY,
    secret bytea NOT NULL,
    CONSTRAINT installation_secrets_secret_length CHECK (length(secret) = 32)
);
COMMENT ON TABLE installation_secrets IS 'random, made by the first process that needs one; the request path sees nothing of it';
GRANT SELECT, INSERT, UPDATE ON installation_secrets TO mailtura_system;

-- +goose Down
DROP TABLE installation_secrets;
DROP INDEX tenants_tracking_domain_unique;
DROP TABLE engagements;
