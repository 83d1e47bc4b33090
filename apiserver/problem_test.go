package apiserver_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestProblem_RequestID(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, given := range []string{"a", "req_1.2:3-4", strings.Repeat("x", 128)} {
		a := b.ask(http.MethodGet, emailsPath+"/x", key, nil, "X-Request-Id", given)
		require.Equal(t, given, a.problem(http.StatusNotFound, "email_not_found").RequestID)
		require.Equal(t, given, b.ask(http.MethodGet, emailsPath, key, nil, "X-Request-Id", given).Header.Get("X-Request-Id"))
	}
	seen := map[string]bool{}
	for _, given := range []string{"", "a b", "a\nb", `"`, "ü", strings.Repeat("x", 129)} { // not fit to be logged
		own := b.ask(http.MethodGet, emailsPath+"/x", key, nil, "X-Request-Id", given).problem(http.StatusNotFound, "email_not_found").RequestID
		require.True(t, strings.HasPrefix(own, "req_"), own)
		require.False(t, seen[own])
		seen[own] = true
	}
}

func TestProblem_FromEveryLayer(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
		fields             []string
	}{
		"broken JSON":         {"POST", emailsPath, `{"to": `, nil, 400, "malformed_request", []string{"body malformed_json"}},
		"two documents":       {"POST", emailsPath, `{}{}`, nil, 400, "malformed_request", []string{"body malformed_json"}},
		"number out of range": {"POST", emailsPath, `{"metadata":{"a":1e400}}`, nil, 400, "malformed_request", []string{"body malformed_json"}},
		"no body":             {"POST", emailsPath, "", nil, 400, "malformed_request", nil},
		"null":                {"POST", emailsPath, "null", nil, 422, "validation_failed", []string{"body invalid_value"}},
		"plain text":          {"POST", emailsPath, "to=a", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", nil},
		"form":                {"POST", emailsPath, "to=a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", nil},
		"not a path":          {"GET", v1 + "/nothing", "", nil, 404, "not_found", nil},
		"a slash too many":    {"GET", emailsPath + "/", "", nil, 404, "not_found", nil},
		"outside of the API":  {"GET", "/", "", nil, 404, "not_found", nil},
		"method":              {"PUT", emailsPath, "{}", nil, 405, "method_not_allowed", nil},
		"method of the docs":  {"POST", "/docs", "{}", nil, 405, "method_not_allowed", nil},
		"method of a probe":   {"POST", "/healthz", "{}", nil, 405, "method_not_allowed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.ask(tc.method, tc.path, key, tc.body, tc.headers...)
			require.Equal(t, tc.fields, a.fields(tc.status, tc.code))
		})
	}
}

// Media types that are JSON, and none at all, are read as JSON.
func TestRequest_KindsOfJSON(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, contentType := range []string{"", "application/json; charset=utf-8", "Application/JSON", "application/vnd.acme+json"} {
		a := b.ask(http.MethodPost, v1+"/api-keys", key, `{"name":"x"}`, "Content-Type", contentType)
		require.Equal(t, http.StatusCreated, a.Status, "%q: %s", contentType, a.Body)
	}
	for _, accept := range []string{"", "*/*", "text/html", "application/json;q=0.1"} { // there is nothing else to be had
		a := b.ask(http.MethodGet, emailsPath, key, nil, "Accept", accept)
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, "application/json", a.Header.Get("Content-Type"), accept)
	}
}

func TestRequest_BodyLimits(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, limit := range map[string]int{v1 + "/api-keys": 1 << 20, templatesPath: 4 << 20, emailsPath: 26 << 20} {
		body := `{"name":"` + strings.Repeat("x", limit) + `"}`
		b.ask(http.MethodPost, path, key, body).problem(http.StatusRequestEntityTooLarge, "body_too_large")
		unsaid := b.request(http.MethodPost, path, key, io.LimitReader(strings.NewReader(body), int64(len(body))))
		require.Equal(t, int64(-1), unsaid.ContentLength)
		b.send(unsaid).problem(http.StatusRequestEntityTooLarge, "body_too_large")
	}
}

// A client that asks first is not made to send what will be refused.
func TestRequest_ExpectContinue(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	body := strings.NewReader(strings.Repeat("x", 26<<20+1))
	r := b.request(http.MethodPost, emailsPath, key, body)
	r.ContentLength = body.Size()
	r.Header.Set("Expect", "100-continue")
	detail := b.send(r).problem(http.StatusRequestEntityTooLarge, "body_too_large").Detail
	require.Contains(t, detail, strconv.Itoa(26<<20+1))
	require.Equal(t, body.Size(), int64(body.Len()), "nothing of it was read")
}

// A client that stops in the middle of a body does not hold its connection for ever.
func TestRequest_BodyTooSlow(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	for _, idempotencyKey := range []string{"", "k"} {
		body, writer := io.Pipe()
		t.Cleanup(func() { _ = writer.Close() })
		go func() { _, _ = writer.Write([]byte(`{"name":`)) }() // and no more
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+v1+"/api-keys", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Idempotency-Key", idempotencyKey)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close() //nolint:errcheck // read to its end
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		answer{t: t, Status: response.StatusCode, Header: response.Header, Body: string(text)}.problem(http.StatusRequestTimeout, "body_timeout")
	}
}

// requireInternal requires the fixed sentence, and the cause in the log under the request id.
func requireInternal(t *testing.T, b *bundle, a answer, secret string) {
	t.Helper()
	p := a.problem(http.StatusInternalServerError, "internal")
	require.Equal(t, "Something went wrong on our side. It is logged under the request id.", p.Detail)
	require.NotContains(t, a.Body, secret)
	require.Empty(t, p.Errors)
	require.Contains(t, b.log.String(), secret)
	require.Contains(t, b.log.String(), p.RequestID)
}

func TestProblem_UnknownErrorsShowNoText(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.exec(`ALTER TABLE templates RENAME TO gone`)
	requireInternal(t, b, b.ask(http.MethodGet, templatesPath, key, nil), "relation")
	b.exec(`ALTER TABLE api_keys RENAME COLUMN hash TO cash`)
	requireInternal(t, b, b.ask(http.MethodGet, emailsPath, key, nil), "hash")
}

func TestProblem_PanicsShowNoText(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.Intake = nil
	requireInternal(t, b, b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`), "nil pointer")
}

// Who goes away before the answer has done nothing wrong, and neither have we.
func TestProblem_RequestThatIsGivenUp(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for path, by := range map[string]string{emailsPath: key, tenantsPath: b.operator} {
		a := b.send(b.request(http.MethodGet, path, by, nil).WithContext(ctx))
		a.problem(http.StatusServiceUnavailable, "request_cancelled")
		require.NotContains(t, a.Body, "canceled", "the cause is for the log")
	}
	require.Contains(t, b.log.String(), "context canceled")
	require.NotContains(t, b.log.String(), "ERROR")
}

func TestProblem_DatabaseAway(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.store.Close()
	for _, path := range []string{emailsPath, tenantsPath, templatesPath} {
		a := b.ask(http.MethodGet, path, key, nil)
		require.Equal(t, "The database is not available.", a.problem(http.StatusServiceUnavailable, "database_unavailable").Detail)
		require.Equal(t, "1", a.Header.Get("Retry-After"))
	}
	require.Contains(t, b.log.String(), "request could not be served")
}

func TestProblem_Overloaded(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	full := intake.NewAcceptor(b.store, func([]intake.Pending) {})
	full.Close() // refuses like one that has too much to do
	b.Intake = full
	a := b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`)
	a.problem(http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", a.Header.Get("Retry-After"))
}

// What the engine says when a check is cut off is a 503 as well, and nothing is saved.
func TestProblem_TemplateEngineAway(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	closed, err := template.NewEngine(template.Config{VMs: 1})
	require.NoError(t, err)
	closed.Close()
	b.Templates = closed
	a := b.ask(http.MethodPost, templatesPath, key, `{"name":"x","text":"x"}`)
	a.problem(http.StatusServiceUnavailable, "render_interrupted")
	a = b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com","subject":"Hi","text":"Hi","variables":{}}`)
	a.problem(http.StatusServiceUnavailable, "render_interrupted")
	require.Empty(t, must[page[apiserver.Template]](b, http.StatusOK, http.MethodGet, templatesPath, key, nil).Items)
}
