package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// TemplateAt gives a template at one of its versions; faults template_not_found and
// template_version_not_found.
func (s *Store) TemplateAt(ctx context.Context, tenantID, name string, version int32) (t Template, err error) {
	err = s.inTenant(ctx, "get template version", tenantID, func(q *db.Queries) error {
		row, err := q.GetTemplateVersion(ctx, db.GetTemplateVersionParams{TenantID: tenantID, Name: name, Version: version})
		if ignoreNoRows(err) != nil {
			return err
		}
		if err != nil {
			return noVersion(ctx, q, tenantID, name, version)
		}
		t, err = toTemplate(row.Template, row.TemplateVersion)
		return err
	})
	return t, err
}

// noVersion tells a version that there is not from a template that there is not.
func noVersion(ctx context.Context, q *db.Queries, tenantID, name string, version int32) error {
	if _, err := q.GetTemplateByName(ctx, tenantID, name); err != nil {
		return noTemplate(translate("select template", err), name)
	}
	return fault.New(fault.NotFound, "template_version_not_found", "The template %q has no version %d.", name, version)
}

// TemplateVersion is a version without its content.
type TemplateVersion struct {
	Version   int32
	Required  []string
	Partials  map[string]int32 // versions of those that it calls
	CreatedAt time.Time
}

// ListTemplateVersions lists the versions of a template, newest first; fault template_not_found.
func (s *Store) ListTemplateVersions(
	ctx context.Context, tenantID, name, after string, limit int,
) (items []TemplateVersion, next string, err error) {
	before, err := numberCursor(after)
	if err != nil {
		return nil, "", err
	}
	if before == 0 {
		before = math.MaxInt32
	}
	var rows []db.ListVersionsOfTemplateRow
	err = s.inTenant(ctx, "list template versions", tenantID, func(q *db.Queries) error {
		if _, err := q.GetTemplateByName(ctx, tenantID, name); err != nil {
			return noTemplate(translate("select template", err), name)
		}
		rows, err = q.ListVersionsOfTemplate(ctx, db.ListVersionsOfTemplateParams{
			TenantID: tenantID, Name: name, Before: before, Count: int32(limit) + 1,
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	rows, more := page(rows, limit)
	for _, row := range rows {
		v := TemplateVersion{Version: row.Version, Required: row.Required, CreatedAt: row.CreatedAt}
		if err := json.Unmarshal(row.Partials, &v.Partials); err != nil {
			return nil, "", fmt.Errorf("read partials: %w", err)
		}
		items = append(items, v)
	}
	if more {
		next = numberCursorOf(rows[len(rows)-1].Version)
	}
	return items, next, nil
}
