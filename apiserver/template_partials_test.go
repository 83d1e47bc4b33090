package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// newPage is acme-corp with footer and page, two partials, and hello, a template that calls both.
func newPage(t *testing.T) (b *bundle, key string) {
	t.Helper()
	b, key = newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"footer","kind":"partial","html":"<hr>{{company}}","text":"-- {{company}}"}`)
	b.template(key, `{"name":"page","kind":"partial","html":"<body>{{> @partial-block}}{{> footer}}</body>"}`)
	b.template(key, `{"name":"hello","subject":"Hi","html":"{{#> page}}<p>{{name}}</p>{{/page}}","text":"{{name}}\n{{> footer}}"}`)
	return b, key
}

func (b *bundle) getTemplate(key, name string) apiserver.Template {
	b.t.Helper()
	return must[apiserver.Template](b, http.StatusOK, http.MethodGet, templatesPath+"/"+name, key, nil)
}

func (b *bundle) put(key, name, body string) answer {
	b.t.Helper()
	return b.ask(http.MethodPut, templatesPath+"/"+name, key, body)
}

// A new version of a partial makes one of all that call it; what was accepted before stays as it was.
func TestPartials_ANewVersionReachesTemplatesButNotEmails(t *testing.T) {
	t.Parallel()
	b, key := newPage(t)
	hello := b.getTemplate(key, "hello")
	require.Equal(t, []apiserver.PartialUsed{{Name: "footer", Version: 1}, {Name: "page", Version: 1}}, hello.Partials)
	require.Equal(t, []string{"company", "name"}, hello.RequiredVariables)
	const body = `{"to":"a@example.com","template":"hello","variables":{"name":"Ada","company":"Acme"}}`
	before := b.post(key, body).ID
	content := b.content(key, before)
	require.Equal(t, "<body><p>Ada</p><hr>Acme</body>", content.HTML)
	require.Equal(t, "Ada\n-- Acme", content.Text)

	require.Equal(t, http.StatusOK, b.put(key, "footer", `{"html":"<hr>{{company}} ({{#if year}}{{year}}{{/if}})","text":"= {{company}}"}`).Status)
	require.Equal(t, content, b.content(key, before), "pinned is pinned")
	after := b.getTemplate(key, "hello")
	require.Equal(t, int32(2), after.Version)
	require.Equal(t, []apiserver.PartialUsed{{Name: "footer", Version: 2}, {Name: "page", Version: 2}}, after.Partials)
	require.Equal(t, hello.TemplateContent, after.TemplateContent)
	require.Equal(t, "<body><p>Ada</p><hr>Acme ()</body>", b.content(key, b.post(key, body).ID).HTML)
	require.Equal(t, int32(2), b.getTemplate(key, "page").Version)
	require.Contains(t, must[apiserver.TemplateDiff](b, http.StatusOK, http.MethodGet, templatesPath+"/hello/diff", key, nil).Diff,
		"-partial footer: version 1\n")

	require.Equal(t, http.StatusOK, b.put(key, "page", `{"html":"<main>{{> @partial-block}}</main>"}`).Status)
	last := b.getTemplate(key, "hello")
	require.Equal(t, []apiserver.PartialUsed{{Name: "footer", Version: 2}, {Name: "page", Version: 3}}, last.Partials)
	require.Equal(t, "<main><p>Ada</p></main>", b.content(key, b.post(key, body).ID).HTML)
	restored := must[apiserver.Template](b, http.StatusCreated, http.MethodPost, templatesPath+"/hello/versions/1/restore", key, nil)
	require.Equal(t, last.Partials, restored.Partials, "with the partials of now")
}

func TestPartials_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newPage(t)
	for body, want := range map[string]string{
		`{"name":"x","text":"{{> none}}"}`:                       `body.text invalid_template: line 1, column 1: there is no partial "none"`,
		`{"name":"x","text":"{{> hello}}"}`:                      `body.text invalid_template: line 1, column 1: there is no partial "hello"`,
		`{"name":"x","text":"{{> page}}"}`:                       `body.text invalid_template: line 1, column 1: the partial "page" has nothing for this part`,
		`{"name":"x","html":"{{> page}}"}`:                       `body.html invalid_template: line 1, column 1: "page" prints a block, call it as {{#> page}} … {{/page}}`,
		`{"name":"x","kind":"partial","html":"{{> x}}"}`:         `body.html invalid_template: line 1, column 1: partials can not call each other in a circle: x > x`,
		`{"name":"x","kind":"partial","html":"a","subject":"b"}`: "body.subject not_in_partial: a partial has no subject",
		`{"name":"x","kind":"partial","mjml":"<mjml></mjml>"}`:   "body.mjml not_in_partial: a partial has html, which templates of mjml can call too",
		`{"name":"x","html":"a","mjml":"<mjml></mjml>"}`:         "body.mjml mjml_and_html: a template has html or mjml, from which html is made",
		`{"name":"x","html":"{{> @partial-block}}"}`:             "body.html invalid_template: line 1, column 1: {{> @partial-block}} has a meaning in a partial only",
		`{"name":"x","kind":"layout","html":"a"}`:                "body.kind invalid_value: expected value to be one of \"template, partial\"",
	} {
		a := b.ask(http.MethodPost, templatesPath, key, body)
		require.Equal(t, 422, a.Status, body)
		one := read[apiserver.Problem](a).Errors[0]
		require.Equal(t, want, one.Location+" "+one.Code+": "+one.Message)
	}
	a := b.put(key, "footer", `{"html":"{{#> page}}x{{/page}}","text":"x"}`)
	require.Equal(t, 422, a.Status)
	require.Equal(t, "line 1, column 1: partials can not call each other in a circle: footer > page > footer", read[apiserver.Problem](a).Errors[0].Message)
	require.Equal(t, []string{"body.template template_is_partial"},
		b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com","template":"footer","subject":"x"}`).fields(422, "validation_failed"))
}

// What a template needs can not be taken away from it, and nothing changes when it is tried.
func TestPartials_InUse(t *testing.T) {
	t.Parallel()
	b, key := newPage(t)
	a := b.ask(http.MethodDelete, templatesPath+"/footer", key, nil)
	p := a.problem(http.StatusConflict, "partial_in_use")
	require.Len(t, p.Errors, 2)
	require.Equal(t, []string{`"hello" calls it`, `"page" calls it`}, []string{p.Errors[0].Message, p.Errors[1].Message})
	a = b.put(key, "footer", `{"html":"<hr>"}`)
	require.Equal(t, []string{"body partial_breaks_template"}, a.fields(422, "partial_breaks_template"))
	require.Contains(t, a.Body, `text: line 2, column 1: the partial \"footer\" has nothing for this part`)
	for _, name := range []string{"footer", "page", "hello"} {
		require.Equal(t, int32(1), b.getTemplate(key, name).Version)
	}
	for _, name := range []string{"hello", "page", "footer"} {
		require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, templatesPath+"/"+name, key, nil).Status)
	}
}

// Partials are the tenant's own.
func TestPartials_OfAnotherTenant(t *testing.T) {
	t.Parallel()
	b, _ := newPage(t)
	other := b.tenant("other", tenant.Settings{})
	a := b.ask(http.MethodPost, templatesPath, other, `{"name":"x","html":"{{> footer}}"}`)
	require.Equal(t, []string{"body.html invalid_template"}, a.fields(422, "invalid_template"))
}

func TestPartials_TooLarge(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	large := strings.Repeat("x", 300<<10)
	b.template(key, `{"name":"a","kind":"partial","text":"`+large+`"}`)
	b.template(key, `{"name":"b","kind":"partial","text":"`+large+`"}`)
	a := b.ask(http.MethodPost, templatesPath, key, `{"name":"x","text":"{{> a}}{{> b}}"}`)
	require.Equal(t, []string{"body partials_too_large"}, a.fields(422, "validation_failed"))
}

// Saves of a template and of the partial that it calls, at the same time: whichever is
// last, the template has the partial as it is now.
func TestPartials_SavedAtTheSameTime(t *testing.T) {
	t.Parallel()
	b, key := newPage(t)
	done := make(chan int)
	for i := range 6 {
		go func() {
			name, body := "footer", `{"html":"{{company}}","text":"{{company}}"}`
			if i%2 == 0 {
				name, body = "hello", `{"subject":"Hi","html":"{{#> page}}x{{/page}}"}`
			}
			done <- b.put(key, name, body).Status
		}()
	}
	for range 6 {
		require.Contains(t, []int{http.StatusOK, http.StatusConflict}, <-done)
	}
	hello, footer, page := b.getTemplate(key, "hello"), b.getTemplate(key, "footer"), b.getTemplate(key, "page")
	require.Equal(t, []apiserver.PartialUsed{{Name: "footer", Version: footer.Version}, {Name: "page", Version: page.Version}}, hello.Partials)
}
