package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// newCaller is acme with footer, a partial, and hello, a template that calls it.
func newCaller(t *testing.T) (b *bundle, footer, hello store.Template) {
	t.Helper()
	b = newBundle(t, acme, other)
	partial := store.Template{Name: "footer", Kind: store.KindPartial, Source: template.Source{HTML: "<hr>", Self: "footer"}}
	footer, err := b.CreateTemplate(t.Context(), acme, partial)
	require.NoError(t, err)
	caller := newTemplate("hello")
	caller.Source.Partials = template.Partials{"footer": footer.AsPartial()}
	hello, err = b.CreateTemplate(t.Context(), acme, caller)
	require.NoError(t, err)
	return b, footer, hello
}

// bumped is hello with the next version of footer.
func bumped(footer, hello store.Template) store.SaveTemplate {
	next := footer
	next.Version++
	hello.Source.Partials = template.Partials{"footer": next.AsPartial()}
	return store.SaveTemplate{Template: footer, Callers: []store.Template{hello}}
}

func TestUpdateTemplate_WithItsCallers(t *testing.T) {
	t.Parallel()
	b, footer, hello := newCaller(t)
	e := newEmail(acme, "ada@example.com")
	e.TemplateID, e.TemplateVersion = &hello.ID, &hello.Version
	b.accept(e)
	_, err := b.UpdateTemplate(t.Context(), acme, bumped(footer, hello))
	require.NoError(t, err)
	got, err := b.Template(t.Context(), acme, "hello")
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	require.EqualValues(t, 2, got.Source.Partials["footer"].Version)
	letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{e}))
	require.NoError(t, err)
	require.Equal(t, hello.Source.Partials, letters[e.ID].Template.Partials, "an accepted email keeps the old one")
	all, err := b.Partials(t.Context(), acme, []string{"footer", "hello", "none"})
	require.NoError(t, err)
	require.Equal(t, got.Source.Partials, all, "a template is no partial")
}

// What was linked with something else than is there now is not saved, and nothing with it.
func TestUpdateTemplate_LinkedWithWhatIsGone(t *testing.T) {
	t.Parallel()
	b, footer, hello := newCaller(t)
	stale := bumped(footer, hello)
	_, err := b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: footer})
	require.ErrorIs(t, err, store.ErrTemplatesChanged, "a caller is missing")
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: hello})
	require.NoError(t, err)
	_, err = b.UpdateTemplate(t.Context(), acme, stale)
	require.ErrorIs(t, err, store.ErrTemplatesChanged, "the caller was saved")
	current, err := b.Template(t.Context(), acme, "hello")
	require.NoError(t, err)
	_, err = b.UpdateTemplate(t.Context(), acme, bumped(footer, current))
	require.NoError(t, err)
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: hello})
	require.ErrorIs(t, err, store.ErrTemplatesChanged, "the partial was saved")
	hello.Name = "new"
	_, err = b.CreateTemplate(t.Context(), acme, hello)
	require.ErrorIs(t, err, store.ErrTemplatesChanged)
	got, err := b.Template(t.Context(), acme, "footer")
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
}

func TestDeleteTemplate_NotWhileItIsCalled(t *testing.T) {
	t.Parallel()
	b, _, _ := newCaller(t)
	f := requireFault(t, b.DeleteTemplate(t.Context(), acme, "footer"), fault.Conflict, "partial_in_use")
	require.Equal(t, `"hello" calls it`, f.Fields[0].Message)
	require.NoError(t, b.DeleteTemplate(t.Context(), acme, "hello"))
	require.NoError(t, b.DeleteTemplate(t.Context(), acme, "footer"))
}

func TestTemplateVersions_AreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b, footer, hello := newCaller(t)
	_, err := b.TemplateAt(t.Context(), other, "hello", 1)
	requireFault(t, err, fault.NotFound, "template_not_found")
	_, _, err = b.ListTemplateVersions(t.Context(), other, "hello", "", 10)
	requireFault(t, err, fault.NotFound, "template_not_found")
	all, err := b.Partials(t.Context(), other, []string{"footer"})
	require.NoError(t, err)
	require.Empty(t, all)
	callers, err := b.CallersOf(t.Context(), other, "footer")
	require.NoError(t, err)
	require.Empty(t, callers)
	_, err = b.CreateTemplate(t.Context(), other, hello)
	require.ErrorIs(t, err, store.ErrTemplatesChanged, "nor can they be called")
	footer.Version = 7
	_, err = b.TemplateAt(t.Context(), acme, "hello", footer.Version)
	requireFault(t, err, fault.NotFound, "template_version_not_found")
}
