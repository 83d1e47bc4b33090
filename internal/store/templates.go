package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/template"
)

// Template is a template at one of its versions.
type Template struct {
	ID        uuid.UUID
	Name      string
	Version   int32
	Source    template.Source
	Variables json.RawMessage // JSON Schema; nil: Required decides alone
	Required  []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CreateTemplate writes a template with its first version; fault template_exists.
func (s *Store) CreateTemplate(ctx context.Context, tenantID string, t Template, keep ...Keep[Template]) (Template, error) {
	err := s.inTenant(ctx, "create template", tenantID, func(q *db.Queries) error {
		row, err := q.InsertTemplate(ctx, db.InsertTemplateParams{TenantID: tenantID, ID: id.New(), Name: t.Name})
		if err != nil {
			return err
		}
		if err := t.write(ctx, q, row); err != nil {
			return err
		}
		return keepAll(ctx, q, t, keep)
	})
	return t, err
}

// UpdateTemplate writes the next version of a template; fault template_not_found.
func (s *Store) UpdateTemplate(ctx context.Context, tenantID string, t Template, conditions ...Condition[Template]) (Template, error) {
	err := s.inTenant(ctx, "update template", tenantID, func(q *db.Queries) error {
		row, err := lockTemplate(ctx, q, tenantID, t.Name, conditions)
		if err != nil {
			return err
		}
		if row, err = q.BumpTemplate(ctx, tenantID, row.ID); err != nil {
			return err
		}
		return t.write(ctx, q, row)
	})
	return t, err
}

// lockTemplate locks a template whose current version fulfils the conditions.
func lockTemplate(
	ctx context.Context, q *db.Queries, tenantID, name string, conditions []Condition[Template],
) (locked db.Template, err error) {
	if locked, err = q.LockTemplateByName(ctx, tenantID, name); err != nil {
		return locked, noTemplate(translate("lock template", err), name)
	}
	if len(conditions) == 0 {
		return locked, nil
	}
	row, err := q.GetTemplateByName(ctx, tenantID, name)
	if err != nil {
		return locked, err
	}
	return locked, checkAll(conditions, toTemplate(row.Template, row.TemplateVersion))
}

// write adds t as the version that row has, and completes t.
func (t *Template) write(ctx context.Context, q *db.Queries, row db.Template) error {
	t.ID, t.Version, t.CreatedAt, t.UpdatedAt = row.ID, row.Version, row.CreatedAt, row.UpdatedAt
	if t.Required == nil {
		t.Required = []string{}
	}
	return q.InsertTemplateVersion(ctx, db.InsertTemplateVersionParams{
		TenantID: row.TenantID, TemplateID: row.ID, Version: row.Version,
		Subject: t.Source.Subject, Html: t.Source.HTML, Text: t.Source.Text,
		Variables: t.Variables, Required: t.Required,
	})
}

// Template gives a template at its current version; fault template_not_found.
func (s *Store) Template(ctx context.Context, tenantID, name string) (t Template, err error) {
	err = s.inTenant(ctx, "get template", tenantID, func(q *db.Queries) error {
		row, err := q.GetTemplateByName(ctx, tenantID, name)
		t = toTemplate(row.Template, row.TemplateVersion)
		return noTemplate(translate("select template", err), name)
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
		items = append(items, toTemplate(row.Template, row.TemplateVersion))
	}
	if more {
		next = cursorOf(rows[len(rows)-1].Template.ID)
	}
	return items, next, nil
}

// DeleteTemplate takes a template away from new emails; those that were accepted keep
// the version they are pinned to. Fault template_not_found.
func (s *Store) DeleteTemplate(ctx context.Context, tenantID, name string, conditions ...Condition[Template]) error {
	return s.inTenant(ctx, "delete template", tenantID, func(q *db.Queries) error {
		if _, err := lockTemplate(ctx, q, tenantID, name, conditions); err != nil {
			return err
		}
		_, err := q.DeleteTemplateByName(ctx, tenantID, name)
		return err
	})
}

func noTemplate(err error, name string) error {
	return notFound(err, "template_not_found", "There is no template %q.", name)
}

func toTemplate(t db.Template, v db.TemplateVersion) Template {
	return Template{
		ID: t.ID, Name: t.Name, Version: v.Version,
		Source:    template.Source{Subject: v.Subject, HTML: v.Html, Text: v.Text},
		Variables: v.Variables, Required: v.Required,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}
