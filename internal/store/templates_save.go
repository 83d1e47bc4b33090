package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/template"
)

// MaxCallers is by how many templates and partials one partial is called at the most: a
// new version of it makes a new version of each.
const MaxCallers = 500

// ErrTemplatesChanged says that what was linked is not what is there any more: link again.
var ErrTemplatesChanged = fault.New(fault.Conflict, "templates_changed",
	"Partials were saved at the same time; nothing was changed. Try again.")

// SaveTemplate is a template to be saved, and what changes with it.
type SaveTemplate struct {
	// Template has the partials that it calls, each at its current version.
	Template Template
	// Callers are all templates that call it, if it is a partial: linked with it anew, and
	// with the versions that they have now.
	Callers []Template
	Keep    []Keep[Template]
}

// CreateTemplate writes a template with its first version; fault template_exists, and
// ErrTemplatesChanged.
func (s *Store) CreateTemplate(ctx context.Context, tenantID string, t Template, keep ...Keep[Template]) (Template, error) {
	err := s.inTenant(ctx, "create template", tenantID, func(q *db.Queries) error {
		if err := lockLinks(ctx, q, tenantID, t); err != nil {
			return err
		}
		if t.Kind == "" {
			t.Kind = KindTemplate
		}
		row, err := q.InsertTemplate(ctx, db.InsertTemplateParams{TenantID: tenantID, ID: id.New(), Name: t.Name, Kind: t.Kind})
		if err != nil {
			return err
		}
		if err := t.write(ctx, q, row); err != nil {
			return err
		}
		if err := keepAllIn(ctx, q, tenantID, t, keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.TemplateCreate, TenantID: tenantID, Target: t.Name, After: t.audited()})
	})
	return t, err
}

// UpdateTemplate writes the next version of a template, and of each of its callers; fault
// template_not_found, and ErrTemplatesChanged.
func (s *Store) UpdateTemplate(
	ctx context.Context, tenantID string, save SaveTemplate, conditions ...Condition[Template],
) (Template, error) {
	t := save.Template
	err := s.inTenant(ctx, "update template", tenantID, func(q *db.Queries) error {
		if err := lockLinks(ctx, q, tenantID, t); err != nil {
			return err
		}
		before, err := lockTemplate(ctx, q, tenantID, t.Name, conditions)
		if err != nil {
			return err
		}
		if err := save.callersAreAll(ctx, q, tenantID); err != nil {
			return err
		}
		row, err := q.BumpTemplate(ctx, tenantID, before.ID)
		if err != nil {
			return err
		}
		if err := t.write(ctx, q, row); err != nil {
			return err
		}
		if err := save.writeCallers(ctx, q, tenantID); err != nil {
			return err
		}
		if err := keepAllIn(ctx, q, tenantID, t, save.Keep); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{
			Action: audit.TemplateUpdate, TenantID: tenantID, Target: t.Name, Before: before.audited(), After: t.audited(),
		})
	})
	return t, err
}

// lockLinks has all saves that have to do with partials wait for each other, and checks
// that the partials of t are the current ones.
func lockLinks(ctx context.Context, q *db.Queries, tenantID string, t Template) error {
	if t.Kind != KindPartial && len(t.Source.Partials) == 0 {
		return nil
	}
	if err := q.LockTemplates(ctx, tenantID); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(t.Source.Partials))
	rows, err := q.ListPartials(ctx, tenantID, names)
	if err != nil {
		return err
	}
	if len(rows) != len(names) {
		return ErrTemplatesChanged
	}
	for _, row := range rows {
		if row.Template.Version != t.Source.Partials[row.Template.Name].Version {
			return ErrTemplatesChanged
		}
	}
	callers, err := q.CountTemplatesCalling(ctx, db.CountTemplatesCallingParams{TenantID: tenantID, Names: names, Self: t.Name})
	if err == nil && callers >= MaxCallers {
		return fault.New(fault.Conflict, "too_many_callers", "A partial that it calls is called by %d templates already.", callers)
	}
	return err
}

// callersAreAll checks that the callers are those that there are, as they are.
func (s *SaveTemplate) callersAreAll(ctx context.Context, q *db.Queries, tenantID string) error {
	if s.Template.Kind != KindPartial {
		return nil
	}
	rows, err := q.ListTemplatesCalling(ctx, db.ListTemplatesCallingParams{TenantID: tenantID, Name: s.Template.Name, Count: MaxCallers + 1})
	if err != nil {
		return err
	}
	same := slices.EqualFunc(rows, s.Callers, func(row db.ListTemplatesCallingRow, t Template) bool {
		return row.Template.ID == t.ID && row.Template.Version == t.Version
	})
	if !same {
		return ErrTemplatesChanged
	}
	return nil
}

func (s *SaveTemplate) writeCallers(ctx context.Context, q *db.Queries, tenantID string) error {
	for _, t := range s.Callers {
		locked, err := q.LockTemplateByName(ctx, tenantID, t.Name)
		if err != nil {
			return err
		}
		if locked.Version != t.Version {
			return ErrTemplatesChanged
		}
		row, err := q.BumpTemplate(ctx, tenantID, t.ID)
		if err != nil {
			return err
		}
		if err := t.write(ctx, q, row); err != nil {
			return err
		}
	}
	return nil
}

// Partials gives the partials with these names, and those that they call. What there is
// no partial of is left out.
func (s *Store) Partials(ctx context.Context, tenantID string, names []string) (template.Partials, error) {
	all := template.Partials{}
	if len(names) == 0 {
		return all, nil
	}
	var rows []db.ListPartialsRow
	err := s.inTenant(ctx, "list partials", tenantID, func(q *db.Queries) (err error) {
		rows, err = q.ListPartials(ctx, tenantID, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		t, err := toTemplate(row.Template, row.TemplateVersion)
		if err != nil {
			return nil, err
		}
		all[t.Name] = t.AsPartial()
		maps.Copy(all, t.Source.Partials)
	}
	return all, nil
}

// AsPartial is a partial as others call it.
func (t *Template) AsPartial() template.Partial {
	return template.Partial{Version: t.Version, HTML: t.Source.HTML, Text: t.Source.Text}
}

// CallersOf gives all templates and partials that call a partial, directly or not, by name.
func (s *Store) CallersOf(ctx context.Context, tenantID, name string) (callers []Template, err error) {
	err = s.inTenant(ctx, "list callers", tenantID, func(q *db.Queries) error {
		callers, err = callersOf(ctx, q, tenantID, name)
		return err
	})
	return callers, err
}

func callersOf(ctx context.Context, q *db.Queries, tenantID, name string) ([]Template, error) {
	rows, err := q.ListTemplatesCalling(ctx, db.ListTemplatesCallingParams{TenantID: tenantID, Name: name, Count: MaxCallers + 1})
	if err != nil {
		return nil, err
	}
	callers := make([]Template, len(rows))
	for i, row := range rows {
		if callers[i], err = toTemplate(row.Template, row.TemplateVersion); err != nil {
			return nil, err
		}
	}
	return callers, nil
}

// DeleteTemplate takes a template away from new emails; those that were accepted keep
// the version they are pinned to. Faults template_not_found and partial_in_use.
func (s *Store) DeleteTemplate(ctx context.Context, tenantID, name string, conditions ...Condition[Template]) error {
	return s.inTenant(ctx, "delete template", tenantID, func(q *db.Queries) error {
		if err := q.LockTemplates(ctx, tenantID); err != nil {
			return err
		}
		before, err := lockTemplate(ctx, q, tenantID, name, conditions)
		if err != nil {
			return err
		}
		callers, err := callersOf(ctx, q, tenantID, name)
		if err != nil {
			return err
		}
		if len(callers) > 0 {
			return partialInUse(name, callers)
		}
		if _, err := q.DeleteTemplateByName(ctx, tenantID, name); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: audit.TemplateDelete, TenantID: tenantID, Target: name, Before: before.audited()})
	})
}

func partialInUse(name string, callers []Template) *fault.Error {
	f := fault.New(fault.Conflict, "partial_in_use", "The partial %q is called by %d template(s).", name, len(callers))
	for _, t := range callers {
		f.Fields = append(f.Fields, fault.Field{Location: "path.name", Code: f.Code, Message: fmt.Sprintf("%q calls it", t.Name)})
	}
	return f
}
