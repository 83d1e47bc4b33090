package apiserver_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// scoped makes a key that may do that only.
func (b *bundle) scoped(tenantID string, scopes ...apikey.Scope) string {
	b.t.Helper()
	k := store.NewKey{Name: "scoped", Key: apikey.New(apikey.Operator), Grant: scopes}
	var err error
	if tenantID == "" {
		_, err = b.store.CreateOperatorKey(b.t.Context(), k)
	} else {
		k.Key = apikey.New(apikey.Tenant)
		_, err = b.store.CreateTenantKey(b.t.Context(), tenantID, k)
	}
	require.NoError(b.t, err)
	return k.Key.Text()
}

// Every operation says which scope it needs, is closed to a key with all but that, and open
// to one with only that, of a tenant and of operators.
func TestScopes_EveryOperation(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	keys := map[string]string{}
	key := func(tenantID string, scopes ...apikey.Scope) string {
		name := tenantID
		for _, s := range scopes {
			name += " " + string(s)
		}
		if keys[name] == "" {
			keys[name] = b.scoped(tenantID, scopes...)
		}
		return keys[name]
	}
	needed := map[apikey.Scope]bool{}
	for _, op := range operations(t) {
		scope := apikey.Scope(op.Security[0]["key"][0])
		needed[scope] = true
		require.Contains(t, op.Description, "Needs the scope `"+string(scope)+"`.", op.OperationID)
		reads := op.method == http.MethodGet || strings.HasPrefix(op.OperationID, "preview-") || strings.HasPrefix(op.OperationID, "validate-")
		require.Equal(t, reads, strings.HasSuffix(string(scope), ":read"), op.OperationID)
		owners := map[string]apikey.Kind{"": apikey.Operator}
		if slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.Name == "X-Tenant-ID" }) && op.OperationID != "copy-template" {
			owners[acme] = apikey.Tenant
		}
		for owner, kind := range owners {
			others := slices.DeleteFunc(apikey.Scopes(kind), func(s apikey.Scope) bool { return s == scope })
			for _, tenantID := range []string{acme, "nobody"} { // what can not be done tells nothing of what there is
				if owner == acme && tenantID != acme {
					continue
				}
				p := b.ask(op.method, op.at("nobody"), key(owner, others...), op.body(t), "X-Tenant-ID", tenantID).
					problem(http.StatusForbidden, "scope_required")
				require.Equal(t, string(scope), *p.Scope, op.OperationID)
				require.Contains(t, p.Detail, scope)
			}
			a := b.ask(op.method, op.at("nobody"), key(owner, scope), op.body(t), "X-Tenant-ID", acme)
			require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, a.Status, "%s: %s", op.OperationID, a.Body)
		}
	}
	require.Len(t, needed, len(apikey.Scopes(apikey.Operator)), "every scope is of use")
}

func TestScopes_OfNewKeys(t *testing.T) {
	t.Parallel()
	b, full := newAcme(t, tenant.Settings{})
	made := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, v1+"/api-keys", full, `{"name":"x","scopes":["emails:send"]}`)
	require.Equal(t, []apikey.Scope{apikey.EmailsSend}, made.Scopes)
	require.Equal(t, http.StatusAccepted, b.ask(http.MethodPost, emailsPath, made.Key, `{"to":"a@example.com","subject":"s","text":"t"}`).Status)
	b.ask(http.MethodGet, emailsPath, made.Key, nil).problem(http.StatusForbidden, "scope_required")
	require.Equal(t, apikey.Scopes(apikey.Tenant), b.newKey(v1+"/api-keys", full, "all").Scopes)
	require.Equal(t, apikey.Scopes(apikey.Operator), b.newKey(v1+"/operator-keys", b.operator, "all").Scopes)
	for body, want := range map[string]string{
		`{"name":"x","scopes":[]}`:                           "body.scopes bad_length",
		`{"name":"x","scopes":["emails:burn"]}`:              "body.scopes[0] invalid_value",
		`{"name":"x","scopes":["keys:read","tenants:read"]}`: "body.scopes[1] invalid_value",
		`{"name":"x","expiresAt":"2020-01-01T00:00:00Z"}`:    "body.expiresAt out_of_range",
		`{"name":"x","expiresAt":"soon"}`:                    "body.expiresAt invalid_value",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodPost, v1+"/api-keys", full, body).fields(http.StatusUnprocessableEntity, "validation_failed"))
	}
}

// With keys:write alone nobody gets at a key that may do more.
func TestScopes_CanNotGrow(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	for path, tc := range map[string]struct{ owner, by, wanted, first string }{
		v1 + "/api-keys":      {acme, b.key(acme), "emails:send", "emails:send"},
		v1 + "/operator-keys": {"", b.operator, "tenants:write", "emails:send"},
	} {
		strong, weak := b.newKey(path, tc.by, "strong"), b.scoped(tc.owner, apikey.KeysWrite)
		p := b.ask(http.MethodPost, path, weak, `{"name":"x","scopes":["keys:write","`+tc.wanted+`"]}`).problem(http.StatusForbidden, "scope_required")
		require.Equal(t, tc.wanted, *p.Scope)
		p = b.ask(http.MethodPost, path+"/"+strong.ID+"/rotate", weak, nil).problem(http.StatusForbidden, "scope_required")
		require.Equal(t, tc.first, *p.Scope)
		made := b.newKey(path, weak, "like itself")
		require.Equal(t, []apikey.Scope{apikey.KeysWrite}, made.Scopes)
		rotated := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path+"/"+made.ID+"/rotate", weak, nil)
		require.Equal(t, []apikey.Scope{apikey.KeysWrite}, rotated.Scopes)
	}
	a := b.ask(http.MethodPost, v1+"/api-keys", b.scoped("", apikey.KeysWrite, apikey.TenantsRead), `{"name":"x"}`, "X-Tenant-ID", acme)
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	require.Equal(t, []apikey.Scope{apikey.KeysWrite}, read[apiserver.NewAPIKey](a).Scopes)
}
