package apiserver_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const newsPath = templatesPath + "/news"

// newNews is acme-corp with a template, news, in three versions.
func newNews(t *testing.T) (b *bundle, key string) {
	t.Helper()
	b, key = newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"news","subject":"One","html":"<p>{{a}}</p>","text":"same"}`)
	for _, content := range []string{
		`{"subject":"Two","html":"<p>{{a}}</p>","text":"same","variables":{"type":"object","properties":{"a":{}}}}`,
		`{"subject":"Two","html":"<p>{{b}}</p>","text":"same","inlineCss":false}`,
	} {
		must[apiserver.Template](b, http.StatusOK, http.MethodPut, newsPath, key, content)
	}
	return b, key
}

func TestTemplateVersions_ListAndGet(t *testing.T) {
	t.Parallel()
	b, key := newNews(t)
	versions, sizes := walk[apiserver.TemplateVersion](b, newsPath+"/versions?limit=2", key)
	require.Equal(t, []int{2, 1}, sizes)
	for i, v := range versions {
		require.Equal(t, int32(3-i), v.Version, "newest first")
		require.Empty(t, v.Partials)
		require.Equal(t, []string{map[bool]string{true: "b", false: "a"}[i == 0]}, v.RequiredVariables)
		one := must[apiserver.Template](b, http.StatusOK, http.MethodGet, fmt.Sprintf("%s/versions/%d", newsPath, v.Version), key, nil)
		require.Equal(t, v.Version, one.Version)
		require.Equal(t, v.CreatedAt, one.UpdatedAt)
	}
	a := b.ask(http.MethodGet, newsPath+"/versions/1", key, nil)
	require.Equal(t, "One", read[apiserver.Template](a).Subject)
	require.Equal(t, http.StatusNotModified, b.ask(http.MethodGet, newsPath+"/versions/1", key, nil, "If-None-Match", a.tag()).Status)
	current := b.ask(http.MethodGet, newsPath, key, nil)
	require.Equal(t, current.Body, b.ask(http.MethodGet, newsPath+"/versions/3", key, nil).Body)

	b.ask(http.MethodGet, newsPath+"/versions/4", key, nil).problem(http.StatusNotFound, "template_version_not_found")
	b.ask(http.MethodGet, templatesPath+"/old/versions/1", key, nil).problem(http.StatusNotFound, "template_not_found")
	b.ask(http.MethodGet, templatesPath+"/old/versions", key, nil).problem(http.StatusNotFound, "template_not_found")
	require.Equal(t, []string{"path.version out_of_range"},
		b.ask(http.MethodGet, newsPath+"/versions/0", key, nil).fields(422, "validation_failed"))
	require.Equal(t, []string{"query.after invalid_cursor"},
		b.ask(http.MethodGet, newsPath+"/versions?after=AAAA", key, nil).fields(422, "validation_failed"))
}

func TestRestoreTemplateVersion(t *testing.T) {
	t.Parallel()
	b, key := newNews(t)
	third := b.ask(http.MethodGet, newsPath, key, nil)
	restore := newsPath + "/versions/2/restore"
	b.ask(http.MethodPost, restore, key, nil, "If-Match", `"other"`).problem(http.StatusPreconditionFailed, "precondition_failed")
	a := b.ask(http.MethodPost, restore, key, nil, "If-Match", third.tag(), idempotency, "k")
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	restored := read[apiserver.Template](a)
	old := must[apiserver.Template](b, http.StatusOK, http.MethodGet, newsPath+"/versions/2", key, nil)
	require.Equal(t, int32(4), restored.Version)
	require.Equal(t, old.TemplateContent, restored.TemplateContent)
	require.Equal(t, old.RequiredVariables, restored.RequiredVariables)
	b.ask(http.MethodPost, restore, key, nil, "If-Match", third.tag(), idempotency, "k").replays(a)
	require.Equal(t, restored, must[apiserver.Template](b, http.StatusOK, http.MethodGet, newsPath, key, nil))
	b.ask(http.MethodPost, newsPath+"/versions/9/restore", key, nil).problem(http.StatusNotFound, "template_version_not_found")
}

func TestDiffTemplate(t *testing.T) {
	t.Parallel()
	b, key := newNews(t)
	diff := func(from, to int) string {
		return must[apiserver.TemplateDiff](b, http.StatusOK, http.MethodGet, fmt.Sprintf("%s/diff?from=%d&to=%d", newsPath, from, to), key, nil).Diff
	}
	require.Empty(t, diff(2, 2))
	require.Equal(t, `diff html@2 html@3
--- html@2
+++ html@3
@@ -1,1 +1,1 @@
-<p>{{a}}</p>
+<p>{{b}}</p>
diff variables@2 variables@3
--- variables@2
+++ variables@3
@@ -1,6 +0,0 @@
-{
-  "properties": {
-    "a": {}
-  },
-  "type": "object"
-}
diff settings@2 settings@3
--- settings@2
+++ settings@3
@@ -1,1 +1,1 @@
-inlineCss: true
+inlineCss: false
`, diff(2, 3))
	require.Contains(t, diff(2, 1), "-Two\n+One\n")
	b.ask(http.MethodGet, newsPath+"/diff?from=1&to=7", key, nil).problem(http.StatusNotFound, "template_version_not_found")
	last := must[apiserver.TemplateDiff](b, http.StatusOK, http.MethodGet, newsPath+"/diff", key, nil)
	require.Equal(t, apiserver.TemplateDiff{From: 2, To: 3, Diff: diff(2, 3)}, last, "what the last save changed")
}

func TestSendEmail_WithAnOlderVersion(t *testing.T) {
	t.Parallel()
	b, key := newNews(t)
	made := b.post(key, `{"to":"a@example.com","template":"news","templateVersion":1,"variables":{"a":"x"}}`)
	version := int32(1)
	require.Equal(t, &version, must[apiserver.Email](b, http.StatusOK, http.MethodGet, emailsPath+"/"+made.ID, key, nil).TemplateVersion)
	require.Equal(t, "One", b.content(key, made.ID).Subject)
	for body, want := range map[string]string{
		`"template":"news","templateVersion":9,"variables":{"a":"x"}`: "body.template template_version_not_found",
		`"template":"news","templateVersion":1`:                       "body.variables.a missing_variable",
		`"subject":"x","text":"x","templateVersion":1`:                "body.templateVersion required",
		`"template":"news","templateVersion":0`:                       "body.templateVersion out_of_range",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com",`+body+`}`).fields(422, "validation_failed"))
	}
}
