package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/template"
)

// Kinds of templates.
const (
	KindTemplate = "template"
	KindPartial  = "partial" // a piece of templates, which no email is made of
)

// Template is a template, or a partial, at one of its versions.
type Template struct {
	ID        uuid.UUID
	Name      string
	Kind      string
	Version   int32
	Source    template.Source
	MJML      string          // what the HTML was compiled from; empty: it is as it was written
	Variables json.RawMessage // JSON Schema; nil: Required decides alone
	Required  []string
	CreatedAt time.Time // of the template
	UpdatedAt time.Time // of the version
}

// lockTemplate locks a template whose current version fulfils the conditions, and gives that.
func lockTemplate(
	ctx context.Context, q *db.Queries, tenantID, name string, conditions []Condition[Template],
) (locked Template, err error) {
	if _, err := q.LockTemplateByName(ctx, tenantID, name); err != nil {
		return locked, noTemplate(translate("lock template", err), name)
	}
	row, err := q.GetTemplateByName(ctx, tenantID, name)
	if err != nil {
		return locked, err
	}
	t, err := toTemplate(row.Template, row.TemplateVersion)
	if err != nil {
		return locked, err
	}
	return t, checkAll(conditions, t)
}

// write adds t as the version that row has, and completes t.
func (t *Template) write(ctx context.Context, q *db.Queries, row db.Template) error {
	t.ID, t.Kind, t.Version, t.CreatedAt, t.UpdatedAt = row.ID, row.Kind, row.Version, row.CreatedAt, row.UpdatedAt
	if t.Required == nil {
		t.Required = []string{}
	}
	partials := []byte("{}")
	if len(t.Source.Partials) > 0 {
		var err error
		if partials, err = json.Marshal(t.Source.Partials); err != nil {
			return err
		}
	}
	return q.InsertTemplateVersion(ctx, db.InsertTemplateVersionParams{
		TenantID: row.TenantID, TemplateID: row.ID, Version: row.Version,
		Subject: t.Source.Subject, Html: t.Source.HTML, Text: t.Source.Text,
		Mjml: t.MJML, InlineCss: t.Source.InlineCSS, Partials: partials,
		Variables: t.Variables, Required: t.Required,
	})
}

// Template gives a template at its current version; fault template_not_found.
func (s *Store) Template(ctx context.Context, tenantID, name string) (t Template, err error) {
	err = s.inTenant(ctx, "get template", tenantID, func(q *db.Queries) error {
		row, err := q.GetTemplateByName(ctx, tenantID, name)
		if err != nil {
			return noTemplate(translate("select template", err), name)
		}
		t, err = toTemplate(row.Template, row.TemplateVersion)
		return err
	})
	return t, err
}

// ListTemplates lists a tenant's templates at their current versions, newest first.
func (s *Store) ListTemplates(ctx context.Context, tenantID, after string, limit int) (items []Template, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	var rows []db.ListTemplatesAfterRow
	err = s.inTenant(ctx, "list templates", tenantID, func(q *db.Queries) error {
		rows, err = q.ListTemplatesAfter(ctx, db.ListTemplatesAfterParams{TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	rows, more := page(rows, limit)
	for _, row := range rows {
		t, err := toTemplate(row.Template, row.TemplateVersion)
		if err != nil {
			return nil, "", err
		}
		items = append(items, t)
	}
	if more {
		next = cursorOf(rows[len(rows)-1].Template.ID)
	}
	return items, next, nil
}

func noTemplate(err error, name string) error {
	return notFound(err, "template_not_found", "There is no template %q.", name)
}

func toTemplate(t db.Template, v db.TemplateVersion) (Template, error) {
	source, err := toSource(v.Subject, v.Html, v.Text, v.InlineCss, v.Partials)
	if t.Kind == KindPartial {
		source.Self = t.Name
	}
	return Template{
		ID: t.ID, Name: t.Name, Kind: t.Kind, Version: v.Version, Source: source, MJML: v.Mjml,
		Variables: v.Variables, Required: v.Required, CreatedAt: t.CreatedAt, UpdatedAt: v.CreatedAt,
	}, err
}

func toSource(subject, html, text string, inlineCSS bool, partials []byte) (template.Source, error) {
	s := template.Source{Subject: subject, HTML: html, Text: text, InlineCSS: inlineCSS}
	if len(partials) <= len("{}") {
		return s, nil
	}
	if err := json.Unmarshal(partials, &s.Partials); err != nil {
		return s, fmt.Errorf("read partials: %w", err)
	}
	return s, nil
}
