package apiserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestAuth(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.tenant("other", tenant.Settings{})
	unknown := apikey.New(apikey.Tenant).Text()
	const emails, tenants = v1 + "/emails", v1 + "/tenants"
	for name, tc := range map[string]struct {
		path, authorization, tenant string
		status                      int
		code                        string // empty: it is let in
	}{
		"tenant key":                    {emails, "Bearer " + key, "", 200, ""},
		"tenant key naming its tenant":  {emails, "Bearer " + key, acme, 200, ""},
		"scheme in small letters":       {emails, "bearer " + key, "", 200, ""},
		"operator key for a tenant":     {emails, "Bearer " + b.operator, acme, 200, ""},
		"operator key":                  {tenants, "Bearer " + b.operator, "", 200, ""},
		"operator key, needless tenant": {tenants, "Bearer " + b.operator, "nobody", 200, ""},
		"nothing":                       {emails, "", "", 401, "key_required"},
		"another scheme":                {emails, "Basic " + key, "", 401, "key_required"},
		"no scheme":                     {emails, key, "", 401, "key_required"},
		"empty key":                     {emails, "Bearer ", "", 401, "invalid_key"},
		"not a key":                     {emails, "Bearer sesame", "", 401, "invalid_key"},
		"key with a typing error":       {emails, "Bearer " + key[:len(key)-1] + "!", "", 401, "invalid_key"},
		"key cut short":                 {emails, "Bearer " + key[:len(key)-1], "", 401, "invalid_key"},
		"unknown key":                   {emails, "Bearer " + unknown, "", 401, "invalid_key"},
		"prefix of a key, other secret": {emails, "Bearer " + key[:20] + unknown[20:], "", 401, "invalid_key"},
		"tenant key as an operator's":   {tenants, "Bearer mt_op_" + strings.TrimPrefix(key, "mt_live_"), "", 401, "invalid_key"},
		"operator key as a tenant's":    {emails, "Bearer mt_live_" + strings.TrimPrefix(b.operator, "mt_op_"), acme, 401, "invalid_key"},
		"foreign tenant":                {emails, "Bearer " + key, "other", 403, "tenant_mismatch"},
		"tenant that is not there":      {emails, "Bearer " + key, "nobody", 403, "tenant_mismatch"},
		"tenant key for an operator":    {tenants, "Bearer " + key, "", 403, "operator_required"},
		"operator key without tenant":   {emails, "Bearer " + b.operator, "", 400, "tenant_required"},
		"operator key for nobody":       {emails, "Bearer " + b.operator, "nobody", 404, "tenant_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.ask(http.MethodGet, tc.path, "", nil, "Authorization", tc.authorization, "X-Tenant-ID", tc.tenant)
			if tc.code == "" {
				require.Equal(t, tc.status, a.Status, a.Body)
				return
			}
			a.problem(tc.status, tc.code)
			if tc.status == http.StatusUnauthorized {
				require.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
			} else {
				require.Empty(t, a.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// Whatever is wrong with a key, the answer is the same, so that it tells nothing.
func TestAuth_BadKeysLookAlike(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	revoked := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, v1+"/api-keys", key, apiserver.CreateAPIKey{Name: "old"})
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, v1+"/api-keys/"+revoked.ID, key, nil).Status)
	deleting := b.tenant("deleting", tenant.Settings{})
	_, err := b.store.BeginDeletion(t.Context(), "deleting", nil)
	require.NoError(t, err)
	expired := apikey.New(apikey.Tenant)
	_, err = b.store.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "past", Key: expired, ExpiresAt: ptr(time.Now().Add(-time.Second))})
	require.NoError(t, err)
	bodies := map[string]bool{}
	for _, bad := range []string{"sesame", apikey.New(apikey.Tenant).Text(), key[:len(key)-3] + "abc", revoked.Key, expired.Text(), deleting} {
		a := b.ask(http.MethodGet, v1+"/emails", bad, nil, "X-Request-Id", "same")
		a.problem(http.StatusUnauthorized, "invalid_key")
		bodies[a.Body] = true
	}
	require.Len(t, bodies, 1)
}

// A fence lets keys through no more, even one that was made while it was set.
func TestAuth_KeyOfADeletingTenant(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	_, err := b.store.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	late := b.key(acme)
	b.ask(http.MethodGet, v1+"/emails", late, nil).problem(http.StatusUnauthorized, "invalid_key")
	a := b.ask(http.MethodGet, v1+"/emails", b.operator, nil, "X-Tenant-ID", acme)
	require.Equal(t, http.StatusOK, a.Status, "operators still see what is there")
}
