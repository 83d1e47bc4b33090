package apiserver_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// newKey makes a key through the API.
func (b *bundle) newKey(path, by, name string) apiserver.NewAPIKey {
	b.t.Helper()
	return must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path, by, apiserver.CreateAPIKey{Name: name})
}

func TestAPIKeys_FromMakingToRevoking(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	for path, tc := range map[string]struct{ by, begins, works string }{
		v1 + "/api-keys":      {first, "mt_live_", v1 + "/emails"},
		v1 + "/operator-keys": {b.operator, "mt_op_", v1 + "/tenants"},
	} {
		made := b.newKey(path, tc.by, "production")
		require.True(t, strings.HasPrefix(made.Key, tc.begins), path)
		require.True(t, strings.HasPrefix(made.Key, strings.TrimSuffix(made.Prefix, "…")), path)
		require.Less(t, len(made.Prefix), len(made.Key)/2, "the prefix does not have the secret")
		require.Equal(t, "production", made.Name)
		require.Nil(t, made.RevokedAt)
		require.WithinDuration(t, time.Now(), made.CreatedAt, time.Minute)
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, tc.works, made.Key, nil).Status)

		listed := b.ask(http.MethodGet, path, tc.by, nil)
		require.NotContains(t, listed.Body, made.Key, "the secret is shown once")
		items := read[page[apiserver.APIKey]](listed).Items
		require.Len(t, items, 2)
		items[0].LastUsedAt = nil // it may be written by now
		require.Equal(t, made.APIKey, items[0], "newest first")

		for range 2 { // doing it again changes nothing
			a := b.ask(http.MethodDelete, path+"/"+made.ID, tc.by, nil)
			require.Equal(t, http.StatusNoContent, a.Status, a.Body)
			require.Empty(t, a.Body)
			b.ask(http.MethodGet, tc.works, made.Key, nil).problem(http.StatusUnauthorized, "invalid_key")
		}
		items = must[page[apiserver.APIKey]](b, http.StatusOK, http.MethodGet, path, tc.by, nil).Items
		require.NotNil(t, items[0].RevokedAt, "it stays in the list")
		require.Nil(t, items[1].RevokedAt)
	}
}

func TestAPIKeys_MayRevokeThemselves(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	made := b.newKey(v1+"/api-keys", first, "own")
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, v1+"/api-keys/"+made.ID, made.Key, nil).Status)
	b.ask(http.MethodGet, v1+"/api-keys", made.Key, nil).problem(http.StatusUnauthorized, "invalid_key")
}

func TestAPIKeys_MadeByAnOperator(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	a := b.ask(http.MethodPost, v1+"/api-keys", b.operator, `{"name":"first"}`, "X-Tenant-ID", acme)
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	usage := must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", read[apiserver.NewAPIKey](a).Key, nil)
	require.Equal(t, acme, usage.TenantID)
}

func TestAPIKeys_Refused(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, by := range map[string]string{v1 + "/api-keys": key, v1 + "/operator-keys": b.operator} {
		for body, want := range map[string]string{
			`{}`:                       "body required",
			`{"name":""}`:              "body.name bad_length",
			`{"name":5}`:               "body.name invalid_value",
			`{"name":"x","secret":""}`: "body.secret unknown_field",
			`{"name":"` + strings.Repeat("x", 101) + `"}`: "body.name bad_length",
		} {
			require.Contains(t, b.ask(http.MethodPost, path, by, body).fields(http.StatusUnprocessableEntity, "validation_failed"), want, body)
		}
		b.ask(http.MethodPost, path, by, `{"name":"a\u0000b"}`).problem(http.StatusUnprocessableEntity, "validation_failed")
		for _, keyID := range []string{id.APIKey.NewString(), id.Email.NewString(), "x", "%00"} {
			b.ask(http.MethodDelete, path+"/"+keyID, by, nil).problem(http.StatusNotFound, "key_not_found")
		}
	}
}

// A tenant's keys and those of operators are not to be had through each other's operations.
func TestAPIKeys_KindsAreApart(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	ofTenant := b.newKey(v1+"/api-keys", key, "t")
	ofOperator := b.newKey(v1+"/operator-keys", b.operator, "o")
	b.ask(http.MethodDelete, v1+"/operator-keys/"+ofTenant.ID, b.operator, nil).problem(http.StatusNotFound, "key_not_found")
	b.ask(http.MethodDelete, v1+"/api-keys/"+ofOperator.ID, key, nil).problem(http.StatusNotFound, "key_not_found")
	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, v1+"/emails", ofTenant.Key, nil).Status)
	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, v1+"/tenants", ofOperator.Key, nil).Status)
}

func TestAPIKeys_Paging(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, by := range map[string]string{v1 + "/api-keys": key, v1 + "/operator-keys": b.operator} {
		for i := range 4 {
			b.newKey(path, by, strconv.Itoa(i))
		}
		keys, sizes := walk[apiserver.APIKey](b, path+"?limit=2", by)
		require.Equal(t, []int{2, 2, 1}, sizes)
		names := make([]string, 0, len(keys))
		for _, k := range keys[:4] {
			names = append(names, k.Name)
		}
		require.Equal(t, []string{"3", "2", "1", "0"}, names)
		require.True(t, slices.IsSortedFunc(keys, func(a, b apiserver.APIKey) int { return b.CreatedAt.Compare(a.CreatedAt) }))
		require.Equal(t, []string{"query.after invalid_cursor"},
			b.ask(http.MethodGet, path+"?after=nonsense", by, nil).fields(http.StatusUnprocessableEntity, "validation_failed"))
	}
}
