package apiserver_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

const templatesPath = v1 + "/templates"

// template makes a template of the API's JSON.
func (b *bundle) template(key, body string) apiserver.Template {
	b.t.Helper()
	return must[apiserver.Template](b, http.StatusCreated, http.MethodPost, templatesPath, key, body)
}

func TestTemplates_FromMakingToDeleting(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	first := b.template(key, `{"name":"welcome","subject":"Hi {{name}}","html":"<p>{{name}} of {{#if x}}{{x}}{{/if}}{{user.city}}</p>"}`)
	require.True(t, strings.HasPrefix(first.ID, "tpl_"))
	require.Equal(t, int32(1), first.Version)
	require.Equal(t, []string{"name", "user"}, first.RequiredVariables)
	require.Equal(t, "Hi {{name}}", first.Subject)
	require.Empty(t, first.Text)
	require.Nil(t, first.Variables)
	path := templatesPath + "/welcome"
	require.Equal(t, first, must[apiserver.Template](b, http.StatusOK, http.MethodGet, path, key, nil))

	second := must[apiserver.Template](b, http.StatusOK, http.MethodPut, path, key,
		`{"text":"Dear {{name}}","variables":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}`)
	require.Equal(t, first.ID, second.ID)
	require.Equal(t, int32(2), second.Version)
	require.Empty(t, second.Subject+second.HTML, "all of it is replaced")
	require.Equal(t, []string{"name"}, second.RequiredVariables)
	require.Equal(t, []any{"name"}, second.Variables["required"])
	require.True(t, second.UpdatedAt.After(first.UpdatedAt))
	require.True(t, second.CreatedAt.Equal(first.CreatedAt))
	require.Equal(t, second, must[apiserver.Template](b, http.StatusOK, http.MethodGet, path, key, nil))
	list := must[page[apiserver.Template]](b, http.StatusOK, http.MethodGet, templatesPath, key, nil)
	require.Equal(t, []apiserver.Template{second}, list.Items, "one entry for all versions")

	a := b.ask(http.MethodDelete, path, key, nil)
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	require.Empty(t, a.Body)
	b.ask(http.MethodGet, path, key, nil).problem(http.StatusNotFound, "template_not_found")
	b.ask(http.MethodDelete, path, key, nil).problem(http.StatusNotFound, "template_not_found")
	b.ask(http.MethodPut, path, key, `{"text":"x"}`).problem(http.StatusNotFound, "template_not_found")
	require.Empty(t, must[page[apiserver.Template]](b, http.StatusOK, http.MethodGet, templatesPath, key, nil).Items)

	again := b.template(key, `{"name":"welcome","text":"anew"}`)
	require.NotEqual(t, first.ID, again.ID, "its name is free again")
	require.Equal(t, int32(1), again.Version)
	require.Empty(t, again.RequiredVariables)
}

func TestCreateTemplate_Taken(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{})
	mine := b.template(key, `{"name":"welcome","text":"mine"}`)
	b.ask(http.MethodPost, templatesPath, key, `{"name":"welcome","text":"x"}`).problem(http.StatusConflict, "template_exists")
	b.template(other, `{"name":"welcome","text":"theirs"}`)
	require.Equal(t, mine, must[apiserver.Template](b, http.StatusOK, http.MethodGet, templatesPath+"/welcome", key, nil))
}

func TestCreateTemplate_Names(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, name := range []string{"a", "Order.v2", "4-sale_", strings.Repeat("x", 100)} {
		require.Equal(t, name, b.template(key, `{"name":"`+name+`","text":"x"}`).Name)
	}
	for _, name := range []string{"", " ", ".hidden", "-x", "a b", "a/b", "ä", `a\u0000`, `a\n`} {
		require.Equal(t, []string{"body.name invalid_name"},
			b.ask(http.MethodPost, templatesPath, key, `{"name":"`+name+`","text":"x"}`).fields(422, "validation_failed"), "%q", name)
	}
	require.Equal(t, []string{"body.name bad_length"},
		b.ask(http.MethodPost, templatesPath, key, `{"name":"`+strings.Repeat("x", 101)+`","text":"x"}`).fields(422, "validation_failed"))
	for _, name := range []string{"a%2Fb", "nope", ".."} {
		b.ask(http.MethodGet, templatesPath+"/"+name, key, nil).problem(http.StatusNotFound, "template_not_found")
	}
	b.ask(http.MethodGet, templatesPath+"/a%00b", key, nil).problem(422, "validation_failed")
	b.ask(http.MethodGet, templatesPath+"/"+strings.Repeat("x", 101), key, nil).problem(422, "validation_failed")
}

// What can not be saved as new can not be saved over what is there either.
func TestTemplate_Invalid(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	before := b.template(key, `{"name":"there","text":"as it was"}`)
	for content, want := range map[string]struct {
		code, field, message string
	}{
		`"subject":"no content"`:                      {"validation_failed", "body required", "html, mjml or text"},
		`"text":"","html":""`:                         {"validation_failed", "body required", "html, mjml or text"},
		`"text":"a\u0000b"`:                           {"validation_failed", "body.text invalid_character", "NUL"},
		`"text":"x","html":"\u0000"`:                  {"validation_failed", "body.html invalid_character", "NUL"},
		`"text":"x","subject":"\u0000"`:               {"validation_failed", "body.subject invalid_character", "NUL"},
		`"text":5`:                                    {"validation_failed", "body.text invalid_value", "string"},
		`"text":"x","texts":""`:                       {"validation_failed", "body.texts unknown_field", "unexpected"},
		`"text":"x","variables":[]`:                   {"validation_failed", "body.variables invalid_value", "object"},
		`"text":"ok\n{{#if a}}x{{/each}}"`:            {"invalid_template", "body.text invalid_template", "line 2, column"},
		`"html":"<p>\n\n  {{name"`:                    {"invalid_template", "body.html invalid_template", "line 3, column"},
		`"text":"x","subject":"{{"`:                   {"invalid_template", "body.subject invalid_template", "line 1, column"},
		`"text":"x","variables":{"type":5}`:           {"invalid_variables_schema", "body.variables invalid_variables_schema", "type"},
		`"text":"x","variables":{"$ref":"http://x/"}`: {"invalid_variables_schema", "body.variables invalid_variables_schema", "inside of the schema"},
		`"text":"x","variables":{"pattern":"("}`:      {"invalid_variables_schema", "body.variables invalid_variables_schema", ""},
	} {
		for _, a := range []answer{
			b.ask(http.MethodPost, templatesPath, key, `{"name":"new",`+content+`}`),
			b.ask(http.MethodPut, templatesPath+"/there", key, `{`+content+`}`),
		} {
			require.Equal(t, []string{want.field}, a.fields(422, want.code), content)
			require.Contains(t, read[apiserver.Problem](a).Errors[0].Message, want.message)
		}
	}
	items := must[page[apiserver.Template]](b, http.StatusOK, http.MethodGet, templatesPath, key, nil).Items
	require.Equal(t, []apiserver.Template{before}, items)
}

func TestTemplate_EveryBrokenPartIsNamed(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	a := b.ask(http.MethodPost, templatesPath, key, `{"name":"x","subject":"{{#if}}","html":"{{/x}}","text":"{{fine}}"}`)
	require.Equal(t, []string{"body.subject invalid_template", "body.html invalid_template"}, a.fields(422, "invalid_template"))
}

func TestListTemplates_Paging(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{})
	for i := range 5 {
		b.template(key, fmt.Sprintf(`{"name":"n%d","text":"x"}`, i))
		b.template(other, fmt.Sprintf(`{"name":"o%d","text":"x"}`, i))
	}
	templates, sizes := walk[apiserver.Template](b, templatesPath+"?limit=2", key)
	require.Equal(t, []int{2, 2, 1}, sizes)
	for i, item := range templates {
		require.Equal(t, fmt.Sprintf("n%d", 4-i), item.Name)
	}
	require.Equal(t, []string{"query.after invalid_cursor"},
		b.ask(http.MethodGet, templatesPath+"?after=AAAA", key, nil).fields(422, "validation_failed"))
}

// A part has at most 512 kB, which the document says in characters, and the answer in bytes.
func TestTemplates_Limit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	post := func(name, html string) answer {
		return b.ask(http.MethodPost, templatesPath, key, map[string]string{"name": name, "html": html, "text": "x"})
	}
	const most = 512 << 10
	full := post("full", strings.Repeat("x", most))
	require.Equal(t, http.StatusCreated, full.Status, full.Body)
	require.Equal(t, []string{"body.html bad_length"}, post("long", strings.Repeat("x", most+1)).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.html too_large"}, post("wide", strings.Repeat("é", most/2+1)).fields(422, "validation_failed"))
	require.Equal(t, http.StatusCreated, post("wide", strings.Repeat("é", most/2)).Status)
	require.Equal(t, most, template.MaxSource)
	for _, of := range []reflect.Type{reflect.TypeFor[apiserver.TemplateContent](), reflect.TypeFor[plan.Template]()} {
		for _, name := range []string{"HTML", "Text"} {
			field, _ := of.FieldByName(name)
			require.Equal(t, strconv.Itoa(most), field.Tag.Get("maxLength"), "%s.%s", of, name)
			require.Contains(t, field.Tag.Get("doc"), "at most 512 kB")
		}
	}
}
