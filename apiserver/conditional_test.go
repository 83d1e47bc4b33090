package apiserver_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const welcomePath = templatesPath + "/welcome"

// tag requires an answer with a strong tag.
func (a answer) tag() string {
	a.t.Helper()
	require.Less(a.t, a.Status, 300, a.Body)
	tag := a.Header.Get("ETag")
	require.Regexp(a.t, `^"[A-Za-z0-9_-]{20}"$`, tag, a.Body)
	return tag
}

// tagOf is the tag that reading a resource gives.
func (b *bundle) tagOf(path, key string) string {
	b.t.Helper()
	return b.ask(http.MethodGet, path, key, nil).tag()
}

func TestETag_OfEverySingleResource(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"welcome","text":"Hi"}`)
	mail := b.post(key, at("x", in(1), none))
	bulk := read[apiserver.BulkAccepted](b.upload(key, `{"subject":"Hi","text":"Hi"}`, `{"to":"a@example.com"}`))
	b.tenant("leaving", tenant.Settings{})
	deletion := must[apiserver.TenantDeletion](b, http.StatusAccepted, http.MethodDelete, tenantsPath+"/leaving", b.operator, nil)
	for path, by := range map[string]string{
		tenantsPath + "/" + acme: b.operator, welcomePath: key, emailsPath + "/" + mail.ID: key,
		v1 + "/bulk-sends/" + bulk.ID: key, v1 + "/tenant-deletions/" + deletion.ID: b.operator,
	} {
		tag := b.tagOf(path, by)
		require.Equal(t, tag, b.tagOf(path, by), "%s stayed as it was", path)
		for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			a := b.ask(http.MethodGet, path, by, nil, "If-None-Match", known)
			require.Equal(t, http.StatusNotModified, a.Status, "%s %s: %s", path, known, a.Body)
			require.Empty(t, a.Body)
			require.Equal(t, tag, a.Header.Get("ETag"))
		}
		for _, other := range []string{`"x"`, "x", "", tag[1:]} {
			a := b.ask(http.MethodGet, path, by, nil, "If-None-Match", other)
			require.Equal(t, http.StatusOK, a.Status, "%s %s", path, other)
		}
	}
	b.ask(http.MethodGet, templatesPath+"/nothing", key, nil, "If-None-Match", "*").problem(http.StatusNotFound, "template_not_found")
}

// The tag of the answer to a change is the one to make the next change with.
func TestETag_OfChanges(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	path := tenantsPath + "/" + acme
	first := b.tagOf(path, b.operator)
	changed := b.ask(http.MethodPatch, path, b.operator, `{"name":"New"}`).tag()
	require.NotEqual(t, first, changed)
	require.Equal(t, changed, b.tagOf(path, b.operator))
	require.NotEqual(t, changed, b.ask(http.MethodPatch, path, b.operator, `{}`).tag(), "it says when it was changed")

	made := b.ask(http.MethodPost, templatesPath, key, `{"name":"welcome","text":"<Hi> & ü"}`, idempotency, "k")
	require.Equal(t, made.tag(), b.tagOf(welcomePath, key))
	again := b.ask(http.MethodPost, templatesPath, key, `{"name":"welcome","text":"<Hi> & ü"}`, idempotency, "k")
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, made.tag(), again.tag(), "a replay has the tag of what it shows")
	put := b.ask(http.MethodPut, welcomePath, key, `{"text":"Hi"}`).tag()
	require.NotEqual(t, made.tag(), put)
	require.Equal(t, put, b.tagOf(welcomePath, key))

	mail := emailsPath + "/" + b.post(key, at("x", in(1), none)).ID
	before := b.tagOf(mail, key)
	cancelled := b.ask(http.MethodPost, mail+"/cancel", key, nil).tag()
	require.NotEqual(t, before, cancelled)
	require.Equal(t, cancelled, b.tagOf(mail, key))
}

const idempotency = "Idempotency-Key"

func TestIfMatch(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"welcome","text":"Hi"}`)
	mail := emailsPath + "/" + b.post(key, at("x", in(1), none)).ID
	for _, c := range []struct{ method, path, by, body string }{
		{http.MethodPatch, tenantsPath + "/" + acme, b.operator, `{"name":"New"}`},
		{http.MethodPut, welcomePath, key, `{"text":"New"}`},
		{http.MethodPatch, mail, key, `{"scheduledAt":"` + in(2).Format(time.RFC3339) + `"}`},
		{http.MethodDelete, welcomePath, key, ""},
		{http.MethodDelete, tenantsPath + "/" + acme, b.operator, ""},
	} {
		before := b.ask(http.MethodGet, c.path, c.by, nil)
		for _, stale := range []string{`"x"`, "x", "W/" + before.tag(), `"x", "y"`, `""`} { // If-Match compares strongly
			b.ask(c.method, c.path, c.by, c.body, "If-Match", stale).problem(http.StatusPreconditionFailed, "precondition_failed")
		}
		require.Equal(t, before.Body, b.ask(http.MethodGet, c.path, c.by, nil).Body, "%s %s changed nothing", c.method, c.path)
		a := b.ask(c.method, c.path, c.by, c.body, "If-Match", `"x" , `+before.tag())
		require.Less(t, a.Status, 300, "%s %s: %s", c.method, c.path, a.Body)
		if c.method != http.MethodDelete {
			b.ask(c.method, c.path, c.by, c.body, "If-Match", before.tag()).problem(http.StatusPreconditionFailed, "precondition_failed")
			b.ask(c.method, c.path, c.by, c.body, "If-Match", "*").tag()
		}
	}
}

// A condition is about what is there: where nothing is, that is the answer.
func TestIfMatch_NotThere(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, tag := range []string{"*", `"x"`} {
		b.ask(http.MethodPut, welcomePath, key, `{"text":"x"}`, "If-Match", tag).problem(http.StatusNotFound, "template_not_found")
		b.ask(http.MethodDelete, welcomePath, key, nil, "If-Match", tag).problem(http.StatusNotFound, "template_not_found")
		b.ask(http.MethodDelete, tenantsPath+"/nobody", b.operator, nil, "If-Match", tag).problem(http.StatusNotFound, "tenant_not_found")
	}
}

// A deletion whose answer was lost is asked for again with the same condition.
func TestIfMatch_DeletingAgain(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	path := tenantsPath + "/" + acme
	tag := b.tagOf(path, b.operator)
	var ids []string
	for range 2 {
		a := b.ask(http.MethodDelete, path, b.operator, nil, "If-Match", tag)
		require.Equal(t, http.StatusAccepted, a.Status, a.Body)
		ids = append(ids, read[apiserver.TenantDeletion](a).ID)
	}
	require.Equal(t, ids[0], ids[1])
}

func TestIfMatch_ATemplateOfTheSameNameIsAnother(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	first := b.ask(http.MethodPost, templatesPath, key, `{"name":"welcome","text":"Hi"}`).tag()
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, welcomePath, key, nil).Status)
	b.template(key, `{"name":"welcome","text":"Hi"}`)
	b.ask(http.MethodDelete, welcomePath, key, nil, "If-Match", first).problem(http.StatusPreconditionFailed, "precondition_failed")
}

// Of those that saw the same, one changes it: the check and the change are one.
func TestIfMatch_OneWins(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"welcome","text":"Hi"}`)
	mail := emailsPath + "/" + b.post(key, at("x", in(1), none)).ID
	when := in(2).Format(time.RFC3339)
	for _, c := range []struct {
		method, path, by string
		body             func(i int) string
	}{
		{http.MethodPatch, tenantsPath + "/" + acme, b.operator, func(i int) string { return `{"settings":{"dailyLimit":` + strconv.Itoa(1000+i) + `}}` }},
		{http.MethodPatch, tenantsPath + "/" + acme, b.operator, func(int) string { return `{}` }},
		{http.MethodPut, welcomePath, key, func(int) string { return `{"text":"the same"}` }},
		{http.MethodPatch, mail, key, func(int) string { return `{"scheduledAt":"` + when + `"}` }},
		{http.MethodDelete, welcomePath, key, func(int) string { return "" }},
	} {
		const callers = 8
		tag := b.tagOf(c.path, c.by)
		answers := make([]answer, callers)
		var all sync.WaitGroup
		for i := range callers {
			request := b.request(c.method, c.path, c.by, c.body(i))
			request.Header.Set("If-Match", tag)
			all.Go(func() { answers[i] = b.send(request) })
		}
		all.Wait()
		won := 0
		for _, a := range answers {
			if a.Status < 300 {
				won++
			} else if c.method != http.MethodDelete { // what is deleted is not there
				a.problem(http.StatusPreconditionFailed, "precondition_failed")
			}
		}
		require.Equal(t, 1, won, "%s %s", c.method, c.path)
	}
}
