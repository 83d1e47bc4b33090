package apiserver_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/tenant"
)

const auditPath = v1 + "/audit-log"

// entries are the log as the list shows it, newest first.
func (b *bundle) entries(query string) []apiserver.AuditEntry {
	b.t.Helper()
	items, _ := walk[apiserver.AuditEntry](b, auditPath+"?limit=100"+query, b.operator)
	return items
}

// administrative are the operations that the audit log tells of, with what it says.
var administrative = map[string]string{
	"create-tenant": "tenant.create", "update-tenant": "tenant.update", "delete-tenant": "tenant.delete",
	"suspend-tenant": "tenant.suspend", "resume-tenant": "tenant.resume", "restore-tenant": "tenant.restore",
	"create-api-key": "api_key.create", "rotate-api-key": "api_key.rotate", "revoke-api-key": "api_key.revoke",
	"create-operator-key": "operator_key.create", "rotate-operator-key": "operator_key.rotate", "revoke-operator-key": "operator_key.revoke",
	"create-template": "template.create", "update-template": "template.update", "delete-template": "template.delete",
	"restore-template-version": "template.update", "copy-template": "template.create",
	"create-webhook": "webhook.create", "update-webhook": "webhook.update", "delete-webhook": "webhook.delete",
	"rotate-webhook-secret": "webhook.rotate_secret",
	"create-domain":         "domain.create", "delete-domain": "domain.delete", "rotate-domain-keys": "domain.rotate_keys",
}

// sending are the operations that are no administrative acts.
var sending = []string{
	"send-email", "send-email-batch", "cancel-email", "reschedule-email", "retry-email",
	"create-bulk-send", "pause-bulk-send", "resume-bulk-send", "cancel-bulk-send", "test-template", "test-webhook", "replay-webhook",
	"preview-template", "preview-draft", "validate-template", "validate-draft", // change nothing
	"verify-domain", // what is so is found
}

// Every operation that changes something is one or the other: a new one has to say which.
func TestAudit_EveryOperation(t *testing.T) {
	t.Parallel()
	for _, op := range operations(t) {
		if op.method == http.MethodGet {
			continue
		}
		_, written := administrative[op.OperationID]
		require.NotEqual(t, written, slices.Contains(sending, op.OperationID), "%s: is it for the audit log?", op.OperationID)
	}
}

func TestAudit_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	before := len(b.entries(""))
	ask := func(status int, method, path, key string, body any, headers ...string) {
		t.Helper()
		a := b.ask(method, path, key, body, append(headers, "X-Request-Id", "req-1", "X-Audit-Note", "ticket 7\x7fü")...)
		require.Equal(t, status, a.Status, a.Body)
	}
	ask(201, http.MethodPost, tenantsPath, b.operator, `{"name":"acme-corp","domain":"acme.com"}`)
	require.NoError(t, b.store.ActivateTenant(t.Context(), acme))
	ask(200, http.MethodPatch, tenantsPath+"/acme-corp", b.operator, `{"settings":{"dailyLimit":7}}`)
	ask(201, http.MethodPost, v1+"/operator-keys", b.operator, `{"name":"o"}`)
	key := b.newKey(v1+"/operator-keys", b.operator, "p")
	ask(201, http.MethodPost, v1+"/operator-keys/"+key.ID+"/rotate", b.operator, nil)
	ask(204, http.MethodDelete, v1+"/operator-keys/"+key.ID, b.operator, nil)
	ask(201, http.MethodPost, v1+"/api-keys", b.operator, `{"name":"x"}`, "X-Tenant-ID", acme)
	theirs := b.key(acme)
	made := b.newKey(v1+"/api-keys", theirs, "y")
	ask(201, http.MethodPost, v1+"/api-keys/"+made.ID+"/rotate", theirs, nil)
	ask(204, http.MethodDelete, v1+"/api-keys/"+made.ID, theirs, nil)
	ask(201, http.MethodPost, templatesPath, theirs, `{"name":"hi","text":"secret words"}`)
	ask(200, http.MethodPut, templatesPath+"/hi", theirs, `{"text":"other words"}`)
	ask(204, http.MethodDelete, templatesPath+"/hi", theirs, nil)
	ask(201, http.MethodPost, v1+"/webhooks", theirs, `{"url":"https://hook.example/","events":["*"]}`)
	hook := v1 + "/webhooks/" + must[apiserver.NewWebhook](b, 201, http.MethodPost, v1+"/webhooks", theirs, `{"url":"https://hook.example/","events":["*"]}`).ID
	ask(200, http.MethodPatch, hook, theirs, `{"enabled":false}`)
	ask(200, http.MethodPost, hook+"/rotate-secret", theirs, nil)
	ask(204, http.MethodDelete, hook, theirs, nil)
	ask(201, http.MethodPost, domainsPath, theirs, `{"name":"audited.example"}`)
	ask(200, http.MethodPost, domainsPath+"/audited.example/keys/rotate", theirs, nil)
	ask(204, http.MethodDelete, domainsPath+"/audited.example", theirs, nil)
	ask(200, http.MethodPost, tenantsPath+"/acme-corp/suspend", b.operator, `{"reason":"late"}`)
	ask(200, http.MethodPost, tenantsPath+"/acme-corp/resume", b.operator, nil)
	ask(202, http.MethodDelete, tenantsPath+"/acme-corp?grace=1h", b.operator, nil)
	ask(200, http.MethodPost, tenantsPath+"/acme-corp/restore", b.operator, nil)
	ask(202, http.MethodDelete, tenantsPath+"/acme-corp", b.operator, nil)

	entries := b.entries("")
	entries = entries[:len(entries)-before]
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Action] = true
		if e.Actor.Kind == audit.System { // made by the test itself
			require.Equal(t, "api_key.create", e.Action)
			continue
		}
		require.Regexp(t, "^key_", e.Actor.ID)
		if e.RequestID != "req-1" {
			continue // newKey's
		}
		if e.Actor.Kind == audit.TenantKey {
			require.Empty(t, e.Note, "it is for operators")
			require.Equal(t, acme, *e.TenantID)
			continue
		}
		require.Equal(t, audit.OperatorKey, e.Actor.Kind)
		require.Equal(t, "ticket 7??", e.Note)
	}
	for operation, action := range administrative {
		require.True(t, seen[action], operation)
	}
	update := b.entries("&action=tenant.update")
	require.Len(t, update, 1)
	require.Equal(t, map[string]any{"settings": map[string]any{"dailyLimit": nil}}, update[0].Before)
	require.Equal(t, map[string]any{"settings": map[string]any{"dailyLimit": 7.0}}, update[0].After)
	require.Len(t, b.entries("&action=tenant.update&actor="+update[0].Actor.ID+"&tenantId=acme-corp"), 1)
	require.Empty(t, b.entries("&tenantId=other"))
	at := update[0].At.Format(time.RFC3339Nano)
	require.Equal(t, len(b.entries("")), len(b.entries("&since="+at))+len(b.entries("&until="+at)))
	a := b.ask(http.MethodGet, auditPath+"/export", b.operator, nil)
	for _, secret := range []string{b.operator, theirs, made.Key, key.Key} {
		require.NotContains(t, a.Body, secret[20:])
	}
	require.NotContains(t, a.Body, "words")
}

func TestAudit_Export(t *testing.T) {
	t.Parallel()
	b, theirs := newAcme(t, tenant.Settings{})
	api := httptest.NewServer(b)
	t.Cleanup(api.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+auditPath+"/export", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+b.operator)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close() //nolint:errcheck // read to its end
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "application/x-ndjson", answer.Header.Get("Content-Type"))
	var chain audit.Chain
	for e, err := range audit.Read(bufio.NewReader(answer.Body)) {
		require.NoError(t, err)
		require.NoError(t, chain.Add(e))
	}
	require.Equal(t, int64(len(b.entries(""))), chain.Head().Number)
	require.Equal(t, b.entries("")[0].Hash, chain.Head().Hash)

	for _, path := range []string{auditPath, auditPath + "/export"} {
		b.ask(http.MethodGet, path, theirs, nil).problem(http.StatusForbidden, "operator_required")
		p := b.ask(http.MethodGet, path, b.scoped("", apikey.TenantsRead), nil).problem(http.StatusForbidden, "scope_required")
		require.Equal(t, "audit:read", *p.Scope)
	}
	for query, want := range map[string]string{
		"after=x": "query.after invalid_cursor", "since=soon": "query.since invalid_value", "until=1": "query.until invalid_value",
		"tenantId=" + strings.Repeat("a", 64): "query.tenantId bad_length",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, auditPath+"?"+query, b.operator, nil).fields(422, "validation_failed"))
	}
}

// An export that can not go on is not taken for a whole one.
func TestAudit_ExportIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(`INSERT INTO audit_log SELECT n, CASE n WHEN 550 THEN 'infinity' ELSE now() END, 'system', '', 'x.y', NULL, n::text, NULL, NULL,
		'', '', hash, hash FROM audit_log, generate_series(2, 600) n`)
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.ServeHTTP(w, b.request(http.MethodGet, auditPath+"/export", b.operator, nil)) },
		"the connection is cut")
	require.Equal(t, 500, strings.Count(w.Body.String(), "\n"))
	b.exec(`ALTER TABLE audit_log RENAME COLUMN note TO remark`)
	b.ask(http.MethodGet, auditPath+"/export", b.operator, nil).problem(http.StatusInternalServerError, "internal")
}
