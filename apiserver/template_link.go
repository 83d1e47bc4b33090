package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// A version of a template has copies of the partials that it calls, so that it renders to
// the same for ever. They may not be larger than this altogether.
const maxPartialBytes = 512 << 10

// A save that finds that partials were saved meanwhile is tried again so often.
const linkTries = 5

// compileTemplate checks everything of a template that does not depend on others.
func (s *Server) compileTemplate(ctx context.Context, t store.Template, c TemplateContent) (store.Template, error) {
	if fields := contentFields(t.Kind, c); len(fields) > 0 {
		return t, fault.InvalidFields(fields...)
	}
	t.Source = template.Source{Subject: c.Subject, HTML: c.HTML, Text: c.Text, InlineCSS: c.MJML == ""}
	if c.InlineCSS != nil {
		t.Source.InlineCSS = *c.InlineCSS
	}
	if t.Kind == store.KindPartial {
		t.Source.Self, t.Source.InlineCSS = t.Name, false
	}
	if c.MJML != "" {
		var err error
		if t.Source.HTML, err = s.Templates.CompileMJML(ctx, c.MJML); err != nil {
			return t, err
		}
		t.MJML = c.MJML
	}
	if c.Variables != nil {
		var err error
		if t.Variables, err = json.Marshal(c.Variables); err != nil {
			return t, err
		}
		if _, err := template.CompileSchema(t.Variables); err != nil {
			return t, err
		}
	}
	return t, nil
}

func contentFields(kind string, in TemplateContent) []fault.Field {
	c := compiler{}
	if in.HTML == "" && in.Text == "" && in.MJML == "" {
		c.wrong("body", "required", "a template has html, mjml or text")
	}
	if field, bad := noNUL("body.subject", in.Subject, "body.html", in.HTML, "body.text", in.Text, "body.mjml", in.MJML); bad {
		c.fields = append(c.fields, field)
	}
	for _, part := range [][2]string{{"body.html", in.HTML}, {"body.text", in.Text}, {"body.mjml", in.MJML}} {
		if n := len(part[1]); n > template.MaxSource {
			c.wrong(part[0], "too_large", "has "+strconv.Itoa(n)+" bytes, at most "+strconv.Itoa(template.MaxSource)+" are allowed")
		}
	}
	if in.HTML != "" && in.MJML != "" {
		c.wrong("body.mjml", "mjml_and_html", "a template has html or mjml, from which html is made")
	}
	if kind == store.KindPartial && in.Subject != "" {
		c.wrong("body.subject", "not_in_partial", "a partial has no subject")
	}
	if kind == store.KindPartial && in.MJML != "" {
		c.wrong("body.mjml", "not_in_partial", "a partial has html, which templates of mjml can call too")
	}
	return c.fields
}

// link gives t copies of the partials that it calls, as they are in library, and compiles
// it with them.
func (s *Server) link(ctx context.Context, t store.Template, library template.Partials) (store.Template, error) {
	t.Source.Partials = library
	analysis, err := s.Templates.Check(ctx, t.Source)
	if err != nil && t.MJML != "" {
		return t, template.InMJML(err)
	}
	if err != nil {
		return t, err
	}
	t.Required, t.Source.Partials = analysis.Required, nil
	size := 0
	for _, name := range analysis.Partials {
		if t.Source.Partials == nil {
			t.Source.Partials = template.Partials{}
		}
		t.Source.Partials[name] = library[name]
		size += len(library[name].HTML) + len(library[name].Text)
	}
	if size > maxPartialBytes {
		return t, fault.InvalidFields(fault.Field{
			Location: "body", Code: "partials_too_large",
			Message: fmt.Sprintf("the partials that it calls have %d bytes, at most %d are allowed", size, maxPartialBytes),
		})
	}
	return t, nil
}

// linkNow links t with the tenant's partials as they are now.
func (s *Server) linkNow(ctx context.Context, tenantID string, t store.Template) (store.Template, error) {
	library, err := s.Store.Partials(ctx, tenantID, t.Source.PartialNames())
	if err != nil {
		return t, err
	}
	return s.link(ctx, t, library)
}

// createLinked creates a template, linked.
func (s *Server) createLinked(
	ctx context.Context, tenantID string, t store.Template, keep ...store.Keep[store.Template],
) (store.Template, error) {
	return untilUnchanged(func() (store.Template, error) {
		linked, err := s.linkNow(ctx, tenantID, t)
		if err != nil {
			return t, err
		}
		return s.Store.CreateTemplate(ctx, tenantID, linked, keep...)
	})
}

// updateLinked saves the next version of a template, linked, and of all that call it.
func (s *Server) updateLinked(
	ctx context.Context, tenantID string, t store.Template, keep []store.Keep[store.Template], conditions ...store.Condition[store.Template],
) (store.Template, error) {
	return untilUnchanged(func() (store.Template, error) {
		linked, err := s.linkNow(ctx, tenantID, t)
		if err != nil {
			return t, err
		}
		save := store.SaveTemplate{Template: linked, Keep: keep}
		if t.Kind == store.KindPartial {
			if save.Callers, err = s.relink(ctx, tenantID, linked); err != nil {
				return t, err
			}
		}
		return s.Store.UpdateTemplate(ctx, tenantID, save, conditions...)
	})
}

// untilUnchanged tries to save until no other save comes in between.
func untilUnchanged(save func() (store.Template, error)) (t store.Template, err error) {
	for range linkTries {
		if t, err = save(); !errors.Is(err, store.ErrTemplatesChanged) {
			break
		}
	}
	return t, err
}

// relink links all that call a partial with what it is to be.
func (s *Server) relink(ctx context.Context, tenantID string, partial store.Template) ([]store.Template, error) {
	now, err := s.Store.Template(ctx, tenantID, partial.Name)
	if err != nil {
		return nil, err
	}
	callers, err := s.Store.CallersOf(ctx, tenantID, partial.Name)
	if err != nil {
		return nil, err
	}
	next := maps.Clone(partial.Source.Partials)
	if next == nil {
		next = template.Partials{}
	}
	partial.Version = now.Version + 1
	next[partial.Name] = partial.AsPartial()
	for _, t := range callers {
		if t.Kind == store.KindPartial {
			t.Version++
			next[t.Name] = t.AsPartial()
		}
	}
	return s.relinkAll(ctx, partial.Name, callers, next)
}

// relinkAll links callers with their partials, those in next as they are there.
func (s *Server) relinkAll(ctx context.Context, name string, callers []store.Template, next template.Partials) ([]store.Template, error) {
	linked := make([]store.Template, len(callers))
	for i, t := range callers {
		library := maps.Clone(t.Source.Partials)
		maps.Copy(library, next)
		var err error
		if linked[i], err = s.link(ctx, t, library); err != nil {
			return nil, breaksCaller(err, name, t.Name)
		}
	}
	return linked, nil
}

// breaksCaller says which template could not be compiled with a changed partial.
func breaksCaller(err error, partial, caller string) error {
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.Invalid {
		return err
	}
	wrong := make([]string, len(f.Fields))
	for i, field := range f.Fields {
		wrong[i] = strings.TrimPrefix(field.Location, "body.") + ": " + field.Message
	}
	broken := fault.New(fault.Invalid, "partial_breaks_template",
		"The template %q calls %q, and could not be compiled with it.", caller, partial)
	broken.Fields = []fault.Field{{Location: "body", Code: broken.Code, Message: strings.Join(wrong, "; ")}}
	return broken
}
