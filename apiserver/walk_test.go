package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// badKey is a key that opens nothing, and what every operation answers to it.
type badKey struct{ name, authorization, code string }

// badKeys are all ways in which a key is not good.
func (b *bundle) badKeys() []badKey {
	b.t.Helper()
	good, unknown := b.key(acme), apikey.New(apikey.Tenant).Text()
	revoked := b.newKey(v1+"/api-keys", good, "revoked")
	require.Equal(b.t, http.StatusNoContent, b.ask(http.MethodDelete, v1+"/api-keys/"+revoked.ID, good, nil).Status)
	expired := b.newKey(v1+"/api-keys", good, "expired")
	revokedOperator := b.newKey(v1+"/operator-keys", b.operator, "revoked")
	require.Equal(b.t, http.StatusNoContent, b.ask(http.MethodDelete, v1+"/operator-keys/"+revokedOperator.ID, b.operator, nil).Status)
	expiredOperator := b.newKey(v1+"/operator-keys", b.operator, "expired")
	b.exec(`UPDATE api_keys SET expires_at = now() WHERE name = 'expired'`)
	ofLeaving := b.tenant("leaving", tenant.Settings{})
	must[apiserver.TenantDeletion](b, http.StatusAccepted, http.MethodDelete, tenantsPath+"/leaving", b.operator, nil)
	return []badKey{
		{"none", "", "key_required"},
		{"no scheme", good, "key_required"},
		{"another scheme", "Basic " + good, "key_required"},
		{"not of the form", "Bearer sesame", "invalid_key"},
		{"cut off", "Bearer " + good[:len(good)-1], "invalid_key"},
		{"unknown", "Bearer " + unknown, "invalid_key"},
		{"with another's secret", "Bearer " + good[:20] + unknown[20:], "invalid_key"},
		{"of the other kind", "Bearer mt_op_" + strings.TrimPrefix(good, "mt_live_"), "invalid_key"},
		{"revoked", "Bearer " + revoked.Key, "invalid_key"},
		{"expired", "Bearer " + expired.Key, "invalid_key"},
		{"of an operator, revoked", "Bearer " + revokedOperator.Key, "invalid_key"},
		{"of an operator, expired", "Bearer " + expiredOperator.Key, "invalid_key"},
		{"of a tenant that is being deleted", "Bearer " + ofLeaving, "invalid_key"},
	}
}

// Without a good key every operation answers the same, to the letter, whatever else is wrong with the request.
func TestAuth_EveryOperationNeedsAGoodKey(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	answers := map[string]string{} // by code
	bad := b.badKeys()
	for _, op := range operations(t) {
		require.Len(t, op.Security, 1, op.OperationID)
		require.Len(t, op.Security[0]["key"], 1, op.OperationID)
		for _, key := range bad {
			for _, body := range []any{op.body(t), `not { JSON`} {
				a := b.ask(op.method, op.at("x"), "", body, "Authorization", key.authorization, "X-Request-Id", "same", "X-Tenant-ID", acme)
				a.problem(http.StatusUnauthorized, key.code)
				readDocument(t).check(t, op, a)
				if answers[key.code] == "" {
					answers[key.code] = a.Body
				}
				require.Equal(t, answers[key.code], a.Body, "%s with a key that is %s", op.OperationID, key.name)
				require.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

// An operator key reaches a tenant's operations only by naming the tenant, which the document says for each of them; a
// tenant's key is refused with another name, and can not tell from the answer whether there is such a tenant.
func TestAuth_TenantHeader(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.tenant("other", tenant.Settings{})
	for _, op := range operations(t) {
		ask := func(by, tenantID string) answer {
			headers := []string{"X-Request-Id", "same", "X-Tenant-ID", tenantID}
			if op.RequestBody != nil {
				headers = append(headers, "Content-Type", op.mediaType())
			}
			a := b.ask(op.method, op.at("nobody"), by, op.body(t), headers...)
			readDocument(t).check(t, op, a)
			return a
		}
		if !op.ofTenants() {
			for _, tenantID := range []string{"", acme, "other"} {
				ask(key, tenantID).problem(http.StatusForbidden, "operator_required")
			}
			continue
		}
		require.Equal(t, op.acting(), ask(key, "").Status == http.StatusForbidden, op.OperationID)
		ask(b.operator, "").problem(http.StatusBadRequest, "tenant_required")
		ask(b.operator, "nobody").problem(http.StatusNotFound, "tenant_not_found")
		if op.acting() {
			continue
		}
		theirs := ask(key, "other")
		theirs.problem(http.StatusForbidden, "tenant_mismatch")
		for _, nobodys := range []string{"nobody", strings.ToUpper(acme), acme + " ", "%", "'"} {
			if strings.TrimSpace(nobodys) != acme { // HTTP does not carry spaces at the end
				require.Equal(t, theirs.Body, ask(key, nobodys).Body, op.OperationID)
			}
		}
	}
}

// statements are the names of the statements that a request sends to the database.
func (b *bundle) statements(spans *tracetest.InMemoryExporter, r *http.Request) (names []string) {
	ctx, span := otel.Tracer("test").Start(context.WithoutCancel(r.Context()), "request")
	b.send(r.WithContext(ctx))
	span.End()
	for _, s := range spans.GetSpans() {
		if s.SpanContext.TraceID() == span.SpanContext().TraceID() && s.InstrumentationScope.Name == "github.com/exaring/otelpgx" {
			names = append(names, s.Name)
		}
	}
	return names
}

// A caller that measures time learns nothing: for what is another's the same statements are sent as for what is nobody's.
func TestIsolation_TheSameStatements(t *testing.T) { //nolint:paralleltest // the provider is the process's
	spans := tracetest.NewInMemoryExporter()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	b, victim := newAcme(t, tenant.Settings{})
	traced, err := store.Open(t.Context(), store.Config{URL: b.url, MaxConns: 4, Traced: true})
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	b.Store = traced
	templates, err := engine()
	require.NoError(t, err)
	b.Server = b.process(temporalAway(t), templates, func(cfg *apiserver.Config) { cfg.Store = traced })
	mine := b.tenant("mallory", tenant.Settings{FromEmail: "m@acme.com"})
	theirs := &belongings{b, victim, map[string]property{
		v1 + "/emails": {b.post(victim, `{"to":"ada@example.com","subject":"theirs","text":"secret"}`).ID, id.Email.NewString()},
		bulkPath:       {b.uploaded(victim, `{"subject":"theirs","text":"secret"}`, `{"to":"a@example.com"}`).ID, id.BulkSend.NewString()},
	}}
	all, asked := operations(t), 0
	for _, op := range all {
		if !op.ofTenants() || !strings.Contains(op.path, "{") {
			continue
		}
		p := theirs.of(op, all)
		ask := func(value string) []string {
			spans.Reset()
			r := b.request(op.method, op.at(value), mine, op.body(t))
			r.Header.Set("Content-Type", op.mediaType())
			return b.statements(spans, r)
		}
		ask(p.nobodys) // prepares what is not prepared yet
		got, want := ask(p.theirs), ask(p.nobodys)
		require.NotEmpty(t, want, op.OperationID)
		require.Equal(t, want, got, op.OperationID)
		asked++
	}
	require.Greater(t, asked, 10)
}
