package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const orderTemplate = `{"name":"order","subject":"Order {{id}} for {{name}}","html":"<h1>{{name}}</h1>{{#each items}}<p>{{@index}} {{title}}</p>{{/each}}` +
	`{{#each totals}}{{@key}}={{this}};{{/each}}","variables":{"type":"object","required":["name"],"properties":{
	"id":{"type":"integer","default":17},"name":{"type":"string","examples":["Ada <3"]},"totals":{"type":"object"},
	"items":{"type":"array","items":{"type":"object","properties":{"title":{"type":"string"}}}}}}}`

func (b *bundle) preview(key, path, body string) apiserver.Preview {
	b.t.Helper()
	return must[apiserver.Preview](b, http.StatusOK, http.MethodPost, path+"/preview", key, body)
}

// A preview is what GET /emails/{id}/content shows of an email with the same variables.
func TestPreviewTemplate_IsWhatIsSent(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, orderTemplate)
	const variables = `{"name":"Bob & Eve","id":3,"items":[{"title":"Tea"}],"totals":{"zz":1,"a":2,"bb":3}}`
	shown := b.preview(key, templatesPath+"/order", `{"variables":`+variables+`}`)
	sent := b.content(key, b.post(key, `{"to":"a@example.com","template":"order","variables":`+variables+`}`).ID)
	require.Equal(t, sent.Subject, shown.Subject)
	require.Equal(t, sent.HTML, shown.HTML)
	require.Equal(t, sent.Text, shown.Text)
	require.Equal(t, "Order 3 for Bob & Eve", shown.Subject)
	require.Contains(t, shown.HTML, "<h1>Bob &amp; Eve</h1><p>0 Tea</p>")
	require.Equal(t, len(shown.HTML), shown.Size)
}

func TestPreviewTemplate_MakesUpVariables(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, orderTemplate)
	shown := b.preview(key, templatesPath+"/order", `{}`)
	require.Equal(t, "Order 17 for Ada <3", shown.Subject)
	require.Equal(t, "<h1>Ada &lt;3</h1><p>0 title</p><p>1 title</p>", shown.HTML)
	require.Equal(t, "Ada <3", shown.Variables["name"])
	b.template(key, `{"name":"bare","subject":"Hi {{name}}","text":"x"}`)
	require.Equal(t, "Hi name", b.preview(key, templatesPath+"/bare", `{}`).Subject)
}

func TestPreviewTemplate_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, orderTemplate)
	b.template(key, `{"name":"bare","subject":"Hi {{name}}","text":"x"}`)
	post := func(path, body string) answer { return b.ask(http.MethodPost, templatesPath+path, key, body) }
	require.Equal(t, []string{"body.variables.name missing_variable"}, post("/order/preview", `{"variables":{}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.variables.id invalid_variable"}, post("/order/preview", `{"variables":{"name":"x","id":"x"}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.variables.name missing_variable"}, post("/bare/preview", `{"variables":{}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.variables too_large"},
		post("/bare/preview", `{"variables":{"name":"`+strings.Repeat("x", 70_000)+`"}}`).fields(422, "validation_failed"))
	post("/none/preview", `{}`).problem(http.StatusNotFound, "template_not_found")
	post("/bare/preview", `{"version":2}`).problem(http.StatusNotFound, "template_version_not_found")
	require.Equal(t, []string{"query.format invalid_value"}, post("/bare/preview?format=pdf", `{}`).fields(422, "validation_failed"))
}

func TestPreviewTemplate_OfAnOlderVersion(t *testing.T) {
	t.Parallel()
	b, key := newNews(t)
	require.Equal(t, "One", b.preview(key, newsPath, `{"version":1}`).Subject)
	require.Equal(t, "Two", b.preview(key, newsPath, `{}`).Subject)
}

// What a browser shows of it can do nothing: it has an origin of its own and no script.
func TestPreviewTemplate_AsHTML(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"evil","subject":"x","html":"<script>alert(1)</script><p>{{a}}</p>"}`)
	a := b.ask(http.MethodPost, templatesPath+"/evil/preview?format=html", key, `{"variables":{"a":"<b>"}}`)
	require.Equal(t, http.StatusOK, a.Status)
	require.Equal(t, "<script>alert(1)</script><p>&lt;b&gt;</p>", a.Body)
	require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	policy := a.Header.Get("Content-Security-Policy")
	require.True(t, strings.HasPrefix(policy, "sandbox; default-src 'none';"), policy)
	require.NotContains(t, policy, "script")
	asJSON := b.ask(http.MethodPost, templatesPath+"/evil/preview", key, `{"variables":{"a":"<b>"}}`)
	require.Equal(t, "application/json", asJSON.Header.Get("Content-Type"))
	require.Empty(t, asJSON.Header.Get("Content-Security-Policy"))
}

func TestPreviewDraft(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"footer","kind":"partial","html":"<hr>{{company}}"}`)
	draft := `{"template":{"subject":"Hi {{name}}","html":"<p>{{name}}</p>{{> footer}}"},"variables":{"name":"Ada","company":"Acme"}}`
	shown := b.preview(key, templatesPath, draft)
	require.Equal(t, "Hi Ada", shown.Subject)
	require.Equal(t, "<p>Ada</p><hr>Acme", shown.HTML)
	layout := b.preview(key, templatesPath, `{"template":{"kind":"partial","html":"<b>{{> @partial-block}}</b>{{> footer}}"}}`)
	require.Equal(t, "<b>(what the template has between its tags)\n</b><hr>company", layout.HTML)
	post := func(body string) answer { return b.ask(http.MethodPost, templatesPath+"/preview", key, body) }
	require.Equal(t, []string{"body.template.html invalid_template"}, post(`{"template":{"html":"{{#if x}}"}}`).fields(422, "invalid_template"))
	require.Equal(t, []string{"body.template required"}, post(`{"template":{}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.variables.x missing_variable"}, post(`{"template":{"text":"{{x}}"},"variables":{}}`).fields(422, "validation_failed"))
	items := must[page[apiserver.Template]](b, http.StatusOK, http.MethodGet, templatesPath, key, nil).Items
	require.Len(t, items, 1, "a draft is not saved")
	b.template(key, `{"name":"preview","subject":"x","text":"a template may have this name"}`)
	require.Equal(t, "preview", must[apiserver.Template](b, http.StatusOK, http.MethodGet, templatesPath+"/preview", key, nil).Name)
}

// The source is there where an email of the template could be sent as it stands.
func TestPreviewTemplate_Source(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{FromEmail: "noreply@acme.com", FromName: "Acme"})
	b.template(key, `{"name":"hello","subject":"Hi {{name}}","text":"{{body}}"}`)
	b.template(key, `{"name":"bare","text":"x"}`)
	b.template(key, `{"name":"part","kind":"partial","text":"x"}`)
	hello := func(body string) string { return b.preview(key, templatesPath+"/hello", body).Source }

	source := hello(`{"to":["Ada <ada@example.com>","bob@example.com"],"variables":{"name":"Ada","body":"1 + 1 = 2"}}`)
	require.Regexp(t, "^Date: [^\r]+\r\nMessage-ID: <msg_0{26}@acme.com>\r\nFrom: \"Acme\" <noreply@acme.com>\r\n"+
		"To: \"Ada\" <ada@example.com>, bob@example.com\r\nSubject: Hi Ada\r\n(.+\r\n)+\r\n1 \\+ 1 =3D 2$", source)
	require.Contains(t, hello(`{}`), "\r\nTo: recipient@example.com\r\n")
	require.Empty(t, hello(`{"variables":{"name":"Ada","body":""}}`), "it renders to nothing")
	require.Empty(t, b.preview(key, templatesPath+"/bare", `{}`).Source)
	require.Empty(t, b.preview(key, templatesPath+"/part", `{}`).Source)
	require.Contains(t, b.preview(key, templatesPath, `{"to":"ada@example.com","template":{"subject":"Hi","text":"x"}}`).Source, "\r\nTo: ada@example.com\r\n")

	require.Contains(t, hello(`{"variables":{"name":"\u0001\r\nBcc: eve@example.com","body":"x"}}`), "\r\nSubject: Hi Bcc: eve@example.com\r\n")

	refused := func(path, body string) []string {
		return b.ask(http.MethodPost, templatesPath+path, key, body).fields(422, "validation_failed")
	}
	require.Equal(t, []string{"body.to[0] invalid_address"}, refused("/hello/preview", `{"to":"nobody"}`))
	require.Equal(t, []string{"body.to[1] duplicate_recipient"}, refused("/preview", `{"to":["a@example.com","a@example.com"],"template":{"text":"x"}}`))

	nobody := b.tenant("other", tenant.Settings{})
	b.template(nobody, `{"name":"hello","subject":"Hi","text":"x"}`)
	require.Empty(t, b.preview(nobody, templatesPath+"/hello", `{}`).Source, "the tenant has no fromEmail")
}
