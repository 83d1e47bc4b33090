package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/audit"
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
		if err := keepAll(ctx, q, t, keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.TemplateCreate, TenantID: tenantID, Target: t.Name, After: t.audited()})
	})
	return t, err
}

// UpdateTemplate writes the next version of a template; fault template_not_found.
func (s *Store) UpdateTemplate(ctx context.Context, tenantID string, t Template, conditions ...Condition[Template]) (Template, error) {
	err := s.inTenant(ctx, "update template", tenantID, func(q *db.Queries) error {
		before, err := lockTemplate(ctx, q, tenantID, t.Name, conditions)
		if err != nil {
			return err
		}
		row, err := q.BumpTemplate(ctx, tenantID, before.ID)
		if err != nil {
			return err
		}
		if err := t.write(ctx, q, row); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{
			Action: audit.TemplateUpdate, TenantID: tenantID, Target: t.Name, Before: before.audited(), After: t.audited(),
		})
	})
	return t, err
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
	locked = toTemplate(row.Template, row.TemplateVersion)
	return locked, checkAll(conditions, locked)
}

// audited is what the audit log has of a template: that its texts differ, not what they say.
func (t Template) audited() any {
	return map[string]any{
		"version": t.Version, "subject": digest(t.Source.Subject), "html": digest(t.Source.HTML), "text": digest(t.Source.Text),
		"variables": digest(t.schema()),
	}
}

// schema is the text of Variables, the same before it was stored and after.
func (t Template) schema() string {
	var v any
	if json.Unmarshal(t.Variables, &v) != nil { // there is none
		return ""
	}
	text, _ := json.Marshal(v) // it came from JSON
	return string(text)
}

// digest stands for a text; null for an empty one.
func digest(text string) any {
	if text == "" {
		return nil
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
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
		before, err := lockTemplate(ctx, q, tenantID, name, conditions)
		if err != nil {
			return err
		}
		if _, err := q.DeleteTemplateByName(ctx, tenantID, name); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.TemplateDelete, TenantID: tenantID, Target: name, Before: before.audited()})
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
