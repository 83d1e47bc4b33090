package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
)

func TestTemplate_AsCreated(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	in := newTemplate("welcome")
	in.Variables, in.Required = json.RawMessage(`{"type": "object"}`), []string{"name"}
	created, err := b.CreateTemplate(t.Context(), acme, in)
	require.NoError(t, err)
	require.EqualValues(t, 1, created.Version)
	got, err := b.Template(t.Context(), acme, "welcome")
	require.NoError(t, err)
	require.Equal(t, created, got)
	require.Equal(t, in.Source, got.Source)
	require.JSONEq(t, `{"type": "object"}`, string(got.Variables))
	require.Equal(t, []string{"name"}, got.Required)
}

func TestTemplate_WithoutVariables(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	created, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	got, err := b.Template(t.Context(), acme, "welcome")
	require.NoError(t, err)
	require.Equal(t, created, got)
	require.Nil(t, got.Variables)
	require.Equal(t, []string{}, got.Required)
}

func TestUpdateTemplate_IsTheNextVersion(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	change := newTemplate("welcome")
	change.Source.Subject = "Second"
	second, err := b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: change})
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	require.EqualValues(t, 2, second.Version)
	require.Equal(t, first.CreatedAt, second.CreatedAt)
	require.True(t, second.UpdatedAt.After(first.UpdatedAt))
	got, err := b.Template(t.Context(), acme, "welcome")
	require.NoError(t, err)
	require.Equal(t, second, got)

	// An email that was accepted with the first one is composed with the first one.
	for version, subject := range map[int32]string{first.Version: first.Source.Subject, second.Version: "Second"} {
		e := newEmail(acme, "ada@example.com")
		e.TemplateID, e.TemplateVersion = &first.ID, &version
		b.accept(e)
		letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{e}))
		require.NoError(t, err)
		require.Equal(t, subject, letters[e.ID].Template.Subject)
	}
}

func TestUpdateTemplate_EachVersionOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	versions := make([]int32, 8)
	require.NoError(t, inParallel(len(versions), func(i int) error {
		updated, err := b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: newTemplate("welcome")})
		versions[i] = updated.Version
		return err
	}))
	require.ElementsMatch(t, []int32{2, 3, 4, 5, 6, 7, 8, 9}, versions)
}

func TestTemplate_Refusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	_, err = b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	requireFault(t, err, fault.Conflict, "template_exists")
	_, err = b.Template(t.Context(), acme, "nothing")
	f := requireFault(t, err, fault.NotFound, "template_not_found")
	require.Contains(t, f.Detail, `"nothing"`)
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: newTemplate("nothing")})
	requireFault(t, err, fault.NotFound, "template_not_found")
	requireFault(t, b.DeleteTemplate(t.Context(), acme, "nothing"), fault.NotFound, "template_not_found")
}

// What can not be written leaves nothing behind: neither a version nor a bumped number.
func TestUpdateTemplate_AllOrNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	created, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: store.Template{Name: "welcome"}})
	require.Error(t, err, "no body")
	nul := newTemplate("welcome")
	nul.Source.Text = "a\x00b"
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: nul})
	requireFault(t, err, fault.Invalid, "validation_failed")
	got, err := b.Template(t.Context(), acme, "welcome")
	require.NoError(t, err)
	require.Equal(t, created, got)
}

func TestDeleteTemplate_KeepsWhatEmailsArePinnedTo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	e := newEmail(acme, "ada@example.com")
	e.TemplateID, e.TemplateVersion = &first.ID, &first.Version
	b.accept(e)
	require.NoError(t, b.DeleteTemplate(t.Context(), acme, "welcome"))

	_, err = b.Template(t.Context(), acme, "welcome")
	requireFault(t, err, fault.NotFound, "template_not_found")
	_, err = b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: newTemplate("welcome")})
	requireFault(t, err, fault.NotFound, "template_not_found")
	requireFault(t, b.DeleteTemplate(t.Context(), acme, "welcome"), fault.NotFound, "template_not_found")
	letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{e}))
	require.NoError(t, err)
	require.Equal(t, &first.Source, letters[e.ID].Template)

	again, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err, "the name is free again")
	require.NotEqual(t, first.ID, again.ID)
	require.EqualValues(t, 1, again.Version)
}

func TestTemplates_AreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	mine, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	_, err = b.Template(t.Context(), other, "welcome")
	requireFault(t, err, fault.NotFound, "template_not_found")
	_, err = b.UpdateTemplate(t.Context(), other, store.SaveTemplate{Template: newTemplate("welcome")})
	requireFault(t, err, fault.NotFound, "template_not_found")
	requireFault(t, b.DeleteTemplate(t.Context(), other, "welcome"), fault.NotFound, "template_not_found")
	items, _, err := b.ListTemplates(t.Context(), other, "", 10)
	require.NoError(t, err)
	require.Empty(t, items)

	theirs, err := b.CreateTemplate(t.Context(), other, newTemplate("welcome"))
	require.NoError(t, err, "a name is taken within a tenant only")
	require.NoError(t, b.DeleteTemplate(t.Context(), other, "welcome"))
	got, err := b.Template(t.Context(), acme, "welcome")
	require.NoError(t, err)
	require.Equal(t, mine, got)

	stolen := newEmail(acme, "ada@example.com")
	stolen.TemplateID, stolen.TemplateVersion = &theirs.ID, &theirs.Version
	_, err = acceptAt(t.Context(), b.Store, time.Now(), []email.Email{stolen})
	require.Error(t, err, "no email is pinned to the template of another tenant")
}

func TestListTemplates_Pages(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, name := range []string{"one", "two", "gone", "three"} {
		_, err := b.CreateTemplate(t.Context(), acme, newTemplate(name))
		require.NoError(t, err)
	}
	require.NoError(t, b.DeleteTemplate(t.Context(), acme, "gone"))
	updated, err := b.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: newTemplate("one")})
	require.NoError(t, err)
	got := pages(t, func(after string) ([]store.Template, string, error) {
		return b.ListTemplates(t.Context(), acme, after, 2)
	})
	require.Len(t, got, 2)
	require.Equal(t, [3]string{"three", "two", "one"}, [3]string{got[0][0].Name, got[0][1].Name, got[1][0].Name})
	require.Equal(t, []store.Template{updated}, got[1], "at its current version")
	for _, after := range strangeCursors {
		_, _, err := b.ListTemplates(t.Context(), acme, after, 10)
		requireCursorRefused(t, err)
	}
}
