package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// findings are those of a validation, a line each.
func findings(v apiserver.Validation) string {
	lines := make([]string, len(v.Findings))
	for i, f := range v.Findings {
		lines[i] = fmt.Sprintf("%s %s %s %d:%d", f.Severity, f.Code, f.Part, f.Line, f.Column)
	}
	return strings.Join(lines, "|")
}

func (b *bundle) validate(key, path, body string) apiserver.Validation {
	b.t.Helper()
	return must[apiserver.Validation](b, http.StatusOK, http.MethodPost, path+"/validate", key, body)
}

func TestValidateTemplate(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"good","subject":"Hi {{name}}","html":"<p>{{name}}</p><a href=\"{{url}}\">unsubscribe</a>"}`)
	good := b.validate(key, templatesPath+"/good", `{"class":"bulk"}`)
	require.True(t, good.Valid)
	require.Empty(t, good.Findings)

	b.template(key, `{"name":"bad","text":"x","html":"<p>{{nick}}</p>\n<a href=\"/orders\">x</a><img src=\"{{logo}}\">",
		"variables":{"type":"object","properties":{"name":{"type":"string"},"logo":{}},"additionalProperties":false}}`)
	bad := b.validate(key, templatesPath+"/bad", `{"class":"bulk"}`)
	require.False(t, bad.Valid)
	require.Equal(t, "error unknown_variable html 1:6|error relative_link html 2:1|warning missing_unsubscribe  0:0|"+
		"warning missing_alt html 2:24|warning missing_subject subject 0:0|info unused_variable variables 0:0", findings(bad))

	b.template(key, `{"name":"big","subject":"x","html":"{{#each items}}{{this}}{{/each}}","variables":{"properties":{"items":{"default":[
		"`+strings.Repeat("x", 5000)+`"]}}}}`)
	require.Empty(t, b.validate(key, templatesPath+"/big", `{}`).Findings)
	must[apiserver.Template](b, http.StatusOK, http.MethodPut, templatesPath+"/big", key, `{"subject":"x","html":"`+strings.Repeat("x", 105_000)+`"}`)
	require.Equal(t, "warning too_large html 0:0", findings(b.validate(key, templatesPath+"/big", `{}`)))
	require.Empty(t, b.validate(key, templatesPath+"/big", `{"version":1}`).Findings)
	b.ask(http.MethodPost, templatesPath+"/none/validate", key, `{}`).problem(http.StatusNotFound, "template_not_found")
}

func TestValidateDraft_FindsWhatSavingRefuses(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for template, want := range map[string]string{
		`{"subject":"x","text":"a\n{{#if x}}"}`:                                           "error invalid_template text 2:1",
		`{"subject":"{{","html":"{{> none}}"}`:                                            "error invalid_template html 1:1|error invalid_template subject 1:3",
		`{"subject":"x"}`:                                                                 "error required  0:0",
		`{"subject":"x","text":"x","variables":{"type":"dog"}}`:                           "error invalid_variables_schema variables 0:0",
		`{"subject":"x","mjml":"<mjml><mj-body>\n<mj-text>x</mj-text></mj-body></mjml>"}`: "error invalid_template mjml 2:0",
		`{"subject":"x","mjml":"<mjml><mj-body>\n<mj-raw><a href=\"\">{{x}}</a></mj-raw></mj-body></mjml>","variables":{}}`: "warning unknown_variable mjml 2:22|warning empty_link mjml 2:9",
		`{"kind":"partial","html":"<b>{{> @partial-block}}</b>"}`:                                                           "",
	} {
		v := b.validate(key, templatesPath, `{"template":`+template+`}`)
		if want == "" {
			require.Empty(t, v.Findings)
			continue
		}
		require.ElementsMatch(t, strings.Split(want, "|"), strings.Split(findings(v), "|"), template)
		require.Equal(t, !strings.Contains(want, "error"), v.Valid)
	}
}

func TestTestTemplate(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(2)})
	b.template(key, orderTemplate)
	path := templatesPath + "/order/test"
	a := b.once(path, key, "k", `{"to":"Ada <ada@example.com>"}`)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	made := read[apiserver.Accepted](a)
	b.once(path, key, "k", `{"to":"Ada <ada@example.com>"}`).replays(a)
	require.Equal(t, 1, *made.Quota.Remaining, "it counts, once")
	sent := must[apiserver.Email](b, http.StatusOK, http.MethodGet, emailsPath+"/"+made.ID, key, nil)
	require.Equal(t, []string{"test"}, sent.Tags)
	require.Equal(t, b.preview(key, templatesPath+"/order", `{}`).HTML, b.content(key, made.ID).HTML)

	post := func(body string) answer { return b.ask(http.MethodPost, path, key, body) }
	require.Equal(t, []string{"body.variables.name missing_variable"}, post(`{"to":"a@example.com","variables":{}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.to[0] invalid_address"}, post(`{"to":"ada"}`).fields(422, "validation_failed"))
	require.Equal(t, http.StatusAccepted, post(`{"to":["a@example.com"],"version":1,"variables":{"name":"Bob"}}`).Status)
	post(`{"to":"a@example.com"}`).problem(http.StatusTooManyRequests, "daily_limit_reached")
	b.ask(http.MethodPost, templatesPath+"/none/test", key, `{"to":"a@example.com"}`).problem(http.StatusNotFound, "template_not_found")
	b.template(key, `{"name":"part","kind":"partial","text":"x"}`)
	require.Equal(t, []string{"body.template template_is_partial"},
		b.ask(http.MethodPost, templatesPath+"/part/test", key, `{"to":"a@example.com"}`).fields(422, "validation_failed"))
}

func TestCopyTemplate(t *testing.T) {
	t.Parallel()
	b, key := newPage(t)
	other := b.tenant("globex", tenant.Settings{})
	post := func(name, body string) answer {
		return b.ask(http.MethodPost, templatesPath+"/"+name+"/copy", b.operator, body, "X-Tenant-ID", acme)
	}
	a := post("hello", `{"tenantId":"globex","name":"greeting"}`)
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	copied, mine := b.getTemplate(other, "greeting"), b.getTemplate(key, "hello")
	require.Equal(t, read[apiserver.Template](a), copied)
	require.Equal(t, mine.TemplateContent, copied.TemplateContent)
	require.Equal(t, mine.Partials, copied.Partials)
	require.NotEqual(t, mine.ID, copied.ID)
	require.Equal(t, copied, read[apiserver.Template](post("hello", `{"tenantId":"globex","name":"greeting"}`)), "nothing is to be done")

	b.put(other, "footer", `{"html":"theirs","text":"theirs"}`)
	p := post("hello", `{"tenantId":"globex","name":"greeting"}`).problem(http.StatusConflict, "template_exists")
	require.Equal(t, `there is a partial "footer" with other content`, p.Errors[0].Message)
	require.Equal(t, http.StatusCreated, post("hello", `{"tenantId":"globex","name":"greeting","overwrite":true}`).Status)
	require.Equal(t, b.getTemplate(key, "footer").HTML, b.getTemplate(other, "footer").HTML)
	require.Equal(t, int32(3), b.getTemplate(other, "footer").Version)

	post("hello", `{"tenantId":"globex","name":"footer","overwrite":true}`).problem(http.StatusConflict, "template_exists")
	post("none", `{"tenantId":"globex"}`).problem(http.StatusNotFound, "template_not_found")
	post("hello", `{"tenantId":"nobody"}`).problem(http.StatusNotFound, "tenant_not_found")
	require.Equal(t, []string{"body.name invalid_name"}, post("hello", `{"tenantId":"globex","name":"a b"}`).fields(422, "validation_failed"))
	b.ask(http.MethodPost, templatesPath+"/hello/copy", key, `{"tenantId":"globex"}`).problem(http.StatusForbidden, "operator_required")
	b.ask(http.MethodPost, templatesPath+"/hello/copy", b.operator, `{"tenantId":"globex"}`).problem(http.StatusBadRequest, "tenant_required")
	require.Equal(t, store.KindPartial, read[apiserver.Template](post("page", `{"tenantId":"globex","name":"frame"}`)).Kind)
}
