package template_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func TestRenderEmail(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	pinned := &template.Source{Subject: "Hi {{name}}", HTML: "<p>Dear {{name}}</p>"}
	whole := &template.Source{Subject: "Hi {{name}}", HTML: "<p>Dear {{name}}</p>", Text: "own {{name}}"}
	variables := []byte(`{"name":"A & B"}`)
	for name, c := range map[string]struct {
		in   template.Email
		want template.Rendered
	}{
		"literal": {
			template.Email{Own: template.Source{Subject: "{{name}}", Text: "{{#if"}}, template.Rendered{Subject: "{{name}}", Text: "{{#if"},
		},
		"literal, text of its HTML": {
			template.Email{Own: template.Source{Subject: "s", HTML: "<p>{{name}}</p>"}},
			template.Rendered{Subject: "s", HTML: "<p>{{name}}</p>", Text: "{{name}}"},
		},
		"own content with variables": {
			template.Email{Own: template.Source{Subject: "{{name}}", HTML: "<b>{{name}}</b>", Text: "{{name}}"}, Variables: variables},
			template.Rendered{Subject: "A & B", HTML: "<b>A &amp; B</b>", Text: "A & B"},
		},
		"template": {
			template.Email{Key: "k@1", Pinned: pinned, Variables: variables},
			template.Rendered{Subject: "Hi A & B", HTML: "<p>Dear A &amp; B</p>", Text: "Dear A & B"},
		},
		"template with text": {
			template.Email{Key: "k@2", Pinned: whole, Variables: variables},
			template.Rendered{Subject: "Hi A & B", HTML: "<p>Dear A &amp; B</p>", Text: "own A & B"},
		},
		"template without variables": {
			template.Email{Key: "k@1", Pinned: pinned}, template.Rendered{Subject: "Hi", HTML: "<p>Dear </p>", Text: "Dear"},
		},
		"template under another subject": {
			template.Email{Key: "k@1", Pinned: pinned, Own: template.Source{Subject: "For {{name}}"}, Variables: variables},
			template.Rendered{Subject: "For A & B", HTML: "<p>Dear A &amp; B</p>", Text: "Dear A & B"},
		},
	} {
		for range 2 { // the second time from what the engine has kept
			got, err := engine.RenderEmail(t.Context(), c.in)
			require.NoError(t, err, name)
			require.Equal(t, c.want, got, name)
		}
	}
	_, err := engine.RenderEmail(t.Context(), template.Email{Own: template.Source{Text: "{{#if x}}"}, Variables: variables})
	require.Equal(t, fault.Invalid, fault.KindOf(err))
}

// A subject of one email must not become that of the template.
func TestRenderEmail_OwnSubjectIsNotKept(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	in := template.Email{Key: "k@1", Pinned: &template.Source{Subject: "of the template", Text: "x"}, Own: template.Source{Subject: "own"}}
	for _, want := range []string{"own", "of the template", "own"} {
		if in.Own.Subject = want; want == "of the template" {
			in.Own.Subject = ""
		}
		got, err := engine.RenderEmail(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, want, got.Subject)
	}
}

// An own subject is as much a part of the email as the template's: it is one line, may call
// partials, and is blamed when it fails.
func TestRenderEmail_OwnSubjectIsAPart(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	pinned := &template.Source{
		Subject: "{{#if}", HTML: "<style>p{color:red}</style><p>{{> who}}</p>", InlineCSS: true,
		Partials: template.Partials{"who": {HTML: "<b>{{name}}</b>", Text: "{{name}}!"}},
	}
	for subject, want := range map[string]string{
		"For {{> who}}": "For A & B!", "plain } {": "plain } {", "two\nlines\t": "two lines", "{{name}}\n{{name}}": "A & B A & B", "{{none}}": "",
	} {
		got, err := engine.RenderEmail(t.Context(), template.Email{
			Key: "k@1", Pinned: pinned, Own: template.Source{Subject: subject}, Variables: []byte(`{"name":"A & B"}`),
		})
		require.NoError(t, err, subject)
		require.Equal(t, want, got.Subject, "the template's, which is broken, is not looked at")
		require.Contains(t, got.HTML, `<p style="color:red"><b>A &amp; B</b></p>`)
		require.Equal(t, "*A & B*", got.Text)
	}
	for _, subject := range []string{"{{#if x}}", "{{> nobody}}"} {
		_, err := engine.RenderEmail(t.Context(), template.Email{Key: "k@1", Pinned: pinned, Own: template.Source{Subject: subject}})
		f, ok := fault.As(err)
		require.True(t, ok, subject)
		require.Equal(t, "invalid_template", f.Code, subject)
		require.Equal(t, "body.subject", f.Fields[0].Location, subject)
	}
}

// What emails share is compiled once: the name alone finds it again.
func TestRenderEmail_Shared(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{})
	render := func(shared, text, name string) string {
		got, err := engine.RenderEmail(t.Context(), template.Email{
			Own: template.Source{Text: text}, Variables: []byte(`{"name":"` + name + `"}`), Shared: shared,
		})
		require.NoError(t, err)
		return got.Text
	}
	require.Equal(t, "Hi Ada", render("acme/blk_1", "Hi {{name}}", "Ada"))
	require.Equal(t, "Hi Bob", render("acme/blk_1", "Hi {{name}}", "Bob"))
	require.Equal(t, "Hi Eve", render("acme/blk_1", "what is named is never another text", "Eve"))
	require.Equal(t, "Ho Ada", render("acme/blk_2", "Ho {{name}}", "Ada"))
	require.Equal(t, "Ho Ada", render("", "Ho {{name}}", "Ada"))
}
