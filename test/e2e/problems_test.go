package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// problem is a problem document as a client reads it.
type problem struct {
	Code, Title, Detail, RequestID string
	Status                         int
	Errors                         []struct{ Location, Message, Code string }
}

// ask sends a request with raw parts, as a broken client would.
func ask(t *testing.T, method, path, key, tenantID, body string) (status int, header http.Header, p problem) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, shared.URL+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "test-"+t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if tenantID != "" {
		request.Header.Set("X-Tenant-ID", tenantID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	if response.Header.Get("Content-Type") == "application/problem+json" {
		require.NoError(t, json.NewDecoder(response.Body).Decode(&p))
	}
	return response.StatusCode, response.Header, p
}

// Everything that is wrong gets a problem document that says what and where.
func TestProblems(t *testing.T) {
	t.Parallel()
	id, c := shared.newTenant(t, mailtura.Settings{})
	other, theirs := shared.newTenant(t, mailtura.Settings{})
	foreign := send(t, theirs, mailtura.SendEmail{To: to("x@example.com"), Subject: ptr("Hi"), Text: ptr("Hi")}).Id
	_, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{Name: "greet", Subject: ptr("Hi"), Text: ptr("Hello {{user.name}}")})
	require.NoError(t, err)
	_, err = c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{
		Name: "typed", Subject: ptr("Hi"), Text: ptr("{{count}}"),
		Variables: &map[string]any{"type": "object", "required": []string{"count"}, "properties": map[string]any{"count": map[string]any{"type": "integer"}}},
	})
	require.NoError(t, err)
	key := shared.newKey(t, id)
	const ok = `"subject":"Hi","text":"Hi"`
	for name, tc := range map[string]struct {
		method, path, key, tenant, body string
		status                          int
		code, location, fieldCode       string
	}{
		"broken JSON":        {"POST", "/emails", key, "", `{"to": `, 400, "malformed_request", "body", "malformed_json"},
		"no body":            {"POST", "/emails", key, "", ``, 400, "malformed_request", "", ""},
		"unknown field":      {"POST", "/emails", key, "", `{"to":"a@example.com",` + ok + `,"sbject":"x"}`, 422, "validation_failed", "body.sbject", "unknown_field"},
		"bad address":        {"POST", "/emails", key, "", `{"to":["a@example.com","nonsense"],` + ok + `}`, 422, "validation_failed", "body.to[1]", "invalid_address"},
		"no recipient":       {"POST", "/emails", key, "", `{` + ok + `}`, 422, "validation_failed", "body", "required"},
		"wrong type":         {"POST", "/emails", key, "", `{"to":5,` + ok + `}`, 422, "validation_failed", "body.to", "invalid_value"},
		"subject injection":  {"POST", "/emails", key, "", `{"to":"a@example.com","subject":"Hi\r\nBcc: b@example.com","text":"Hi"}`, 422, "validation_failed", "body.subject", "header_injection"},
		"header injection":   {"POST", "/emails", key, "", `{"to":"a@example.com",` + ok + `,"headers":{"X-A":"b\r\nBcc: c@example.com"}}`, 422, "validation_failed", "body.headers.X-A", "header_injection"},
		"name injection":     {"POST", "/emails", key, "", `{"to":"A\r\nBcc: x@y.zz <a@example.com>",` + ok + `}`, 422, "validation_failed", "body.to[0]", "header_injection"},
		"refused header":     {"POST", "/emails", key, "", `{"to":"a@example.com",` + ok + `,"headers":{"DKIM-Signature":"x"}}`, 422, "validation_failed", "body.headers.DKIM-Signature", "refused_header"},
		"foreign sender":     {"POST", "/emails", key, "", `{"to":"a@example.com","from":"ceo@bank.com",` + ok + `}`, 422, "validation_failed", "body.from", "sender_domain_not_allowed"},
		"unknown template":   {"POST", "/emails", key, "", `{"to":"a@example.com","template":"nope"}`, 422, "validation_failed", "body.template", "template_not_found"},
		"missing variable":   {"POST", "/emails", key, "", `{"to":"a@example.com","template":"greet","variables":{}}`, 422, "validation_failed", "body.variables.user", "missing_variable"},
		"no variables":       {"POST", "/emails", key, "", `{"to":"a@example.com","template":"typed"}`, 422, "validation_failed", "body.variables.count", "missing_variable"},
		"variable of a type": {"POST", "/emails", key, "", `{"to":"a@example.com","template":"typed","variables":{"count":"x"}}`, 422, "validation_failed", "body.variables.count", "invalid_variable"},
		"broken own content": {"POST", "/emails", key, "", `{"to":"a@example.com","subject":"{{#if x}}","text":"Hi","variables":{}}`, 422, "validation_failed", "body.subject", "invalid_template"},
		"no content":         {"POST", "/emails", key, "", `{"to":"a@example.com","subject":"Hi"}`, 422, "validation_failed", "body", "required"},
		"NUL":                {"POST", "/emails", key, "", `{"to":"a@example.com","subject":"Hi","text":"a\u0000b"}`, 422, "validation_failed", "body.text", "invalid_character"},
		"NUL in metadata":    {"POST", "/emails", key, "", `{"to":"a@example.com",` + ok + `,"metadata":{"a":"\u0000"}}`, 422, "validation_failed", "body.metadata", "invalid_character"},
		"twice":              {"POST", "/emails", key, "", `{"to":"a@example.com","cc":["A <a@example.com>"],` + ok + `}`, 422, "validation_failed", "body.cc[0]", "duplicate_recipient"},
		"bad base64":         {"POST", "/emails", key, "", `{"to":"a@example.com",` + ok + `,"attachments":[{"filename":"a","content":"%%%"}]}`, 422, "validation_failed", "body.attachments[0].content", "invalid_value"},
		"30 MB":              {"POST", "/emails", key, "", `{"to":"a@example.com","subject":"Hi","text":"` + strings.Repeat("x", 30<<20) + `"}`, 413, "body_too_large", "", ""},
		"broken template":    {"POST", "/templates", key, "", `{"name":"x","subject":"Hi","text":"{{#if a}}\n{{/each}}"}`, 422, "invalid_template", "body.text", ""},
		"template name":      {"POST", "/templates", key, "", `{"name":"a b","text":"Hi"}`, 422, "validation_failed", "body.name", "invalid_name"},
		"template taken":     {"POST", "/templates", key, "", `{"name":"greet","text":"Hi"}`, 409, "template_exists", "", ""},
		"no key":             {"GET", "/emails", "", "", "", 401, "key_required", "", ""},
		"wrong key":          {"GET", "/emails", key[:len(key)-1] + "!", "", "", 401, "invalid_key", "", ""},
		"unknown key":        {"GET", "/emails", "mt_live_" + strings.Repeat("a", 55), "", "", 401, "invalid_key", "", ""},
		"tenant key":         {"GET", "/tenants", key, "", "", 403, "operator_required", "", ""},
		"foreign tenant":     {"GET", "/emails", key, other, "", 403, "tenant_mismatch", "", ""},
		"no tenant":          {"GET", "/emails", shared.Key, "", "", 400, "tenant_required", "", ""},
		"no such tenant":     {"GET", "/emails", shared.Key, "nobody", "", 404, "tenant_not_found", "", ""},
		"foreign email":      {"GET", "/emails/" + foreign, key, "", "", 404, "email_not_found", "", ""},
		"no such email":      {"GET", "/emails/msg_01h455vb4pex5vsknk084sn02q", key, "", "", 404, "email_not_found", "", ""},
		"not an id":          {"GET", "/emails/x", key, "", "", 404, "email_not_found", "", ""},
		"not a cursor":       {"GET", "/emails?after=x", key, "", "", 422, "validation_failed", "query.after", "invalid_cursor"},
		"limit":              {"GET", "/emails?limit=0", key, "", "", 422, "validation_failed", "query.limit", "out_of_range"},
		"unknown query":      {"GET", "/emails?foo=1", key, "", "", 422, "validation_failed", "query.foo", ""},
		"path":               {"GET", "/nothing", key, "", "", 404, "not_found", "", ""},
		"method":             {"PUT", "/tenants", shared.Key, "", "{}", 405, "method_not_allowed", "", ""},
		"tenant taken":       {"POST", "/tenants", shared.Key, "", `{"name":"` + id + `","domain":"a.example"}`, 409, "tenant_exists", "", ""},
		"tenant id":          {"POST", "/tenants", shared.Key, "", `{"id":"Acme!","name":"x","domain":"a.example"}`, 422, "validation_failed", "body.id", "invalid_tenant_id"},
		"tenant domain":      {"POST", "/tenants", shared.Key, "", `{"name":"x","domain":"no dot"}`, 422, "validation_failed", "body.domain", "invalid_domain"},
		"tenant sender":      {"POST", "/tenants", shared.Key, "", `{"name":"x","domain":"a.example","settings":{"fromEmail":"a@b.example"}}`, 422, "validation_failed", "body.settings.fromEmail", "sender_domain_not_allowed"},
		"setting unknown":    {"PATCH", "/tenants/" + id, shared.Key, "", `{"settings":{"dailylimit":5}}`, 422, "validation_failed", "body.settings.dailylimit", "unknown_field"},
		"setting range":      {"PATCH", "/tenants/" + id, shared.Key, "", `{"settings":{"rateLimit":0}}`, 422, "validation_failed", "body.settings.rateLimit", "out_of_range"},
		"setting zone":       {"PATCH", "/tenants/" + id, shared.Key, "", `{"settings":{"timezone":"Mars/Base"}}`, 422, "validation_failed", "body.settings.timezone", "invalid_timezone"},
		"patch nobody":       {"PATCH", "/tenants/nobody", shared.Key, "", `{"settings":{}}`, 404, "tenant_not_found", "", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			status, header, p := ask(t, tc.method, "/api/v1"+tc.path, tc.key, tc.tenant, tc.body)
			require.Equal(t, tc.status, status, "%+v", p)
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.Equal(t, tc.code, p.Code, "%+v", p)
			require.Equal(t, tc.status, p.Status)
			require.Equal(t, http.StatusText(tc.status), p.Title)
			require.NotEmpty(t, p.Detail)
			require.NotEmpty(t, p.RequestID)
			require.Equal(t, p.RequestID, header.Get("X-Request-Id"))
			if tc.location != "" {
				require.NotEmpty(t, p.Errors)
				require.Equal(t, tc.location, p.Errors[0].Location, "%+v", p)
				require.NotEmpty(t, p.Errors[0].Message)
			}
			if tc.fieldCode != "" {
				require.Equal(t, tc.fieldCode, p.Errors[0].Code, "%+v", p)
			}
		})
	}
}
