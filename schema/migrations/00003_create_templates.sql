-- +goose Up
CREATE TABLE templates (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL,
    name       text        NOT NULL,
    kind       text        NOT NULL,
    version    integer     NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT templates_kind_known CHECK (kind IN ('template', 'partial'))
);
COMMENT ON COLUMN templates.version IS 'the current one of template_versions';
COMMENT ON COLUMN templates.deleted_at IS 'a deleted template stays for the emails that are pinned to its versions';
CREATE UNIQUE INDEX templates_name_unique ON templates (tenant_id, name) WHERE deleted_at IS NULL;

CREATE TABLE template_versions (
    tenant_id   text COLLATE "C" NOT NULL,
    template_id uuid        NOT NULL,
    version     integer     NOT NULL,
    subject     text        NOT NULL,
    html        text        NOT NULL,
    text        text        NOT NULL,
    mjml        text        NOT NULL,
    inline_css  boolean     NOT NULL,
    partials    jsonb       NOT NULL,
    variables   jsonb,
    required    text[]      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, template_id, version),
    FOREIGN KEY (tenant_id, template_id) REFERENCES templates (tenant_id, id),
    CONSTRAINT template_versions_body_present CHECK (html <> '' OR text <> '')
);
COMMENT ON TABLE template_versions IS 'immutable: an email is pinned to the version that was current when it was accepted';
COMMENT ON COLUMN template_versions.html IS 'of MJML, what it was compiled to when it was saved';
COMMENT ON COLUMN template_versions.partials IS
    'the partials that the version calls, directly or not, as they were: {name: {version, html, text}}; a current version has the current ones';
COMMENT ON COLUMN template_versions.variables IS 'JSON Schema of the variables; null: required decides alone';
COMMENT ON COLUMN template_versions.required IS 'variables that the template prints unconditionally';

ALTER TABLE templates ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY templates_tenant ON templates TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY templates_system ON templates TO mailtura_system USING (true);
ALTER TABLE template_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY template_versions_tenant ON template_versions TO mailtura_request
    USING (tenant_id = current_setting('mailtura.tenant_id', true));
CREATE POLICY template_versions_system ON template_versions TO mailtura_system USING (true);
GRANT SELECT, INSERT, UPDATE ON templates TO mailtura_request;
GRANT SELECT, INSERT ON template_versions TO mailtura_request;
GRANT SELECT, DELETE ON templates, template_versions TO mailtura_system;

-- +goose Down
DROP TABLE template_versions;
DROP TABLE templates;
