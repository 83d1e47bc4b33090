package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestCredential_OfTenantKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	key := apikey.New(apikey.Tenant)
	created, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "backend", Key: key})
	require.NoError(t, err)
	require.Equal(t, store.APIKey{ID: created.ID, TenantID: acme, Name: "backend", Prefix: key.Prefix, CreatedAt: created.CreatedAt}, created)

	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.Equal(t, store.Credential{ID: created.ID, TenantID: acme, TenantStatus: tenant.Active, Hash: key.Hash()}, c)
	require.True(t, key.Matches(c.Hash))
}

func TestCredential_OfOperatorKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	key := apikey.New(apikey.Operator)
	created, err := b.CreateOperatorKey(t.Context(), store.NewKey{Name: "deploy", Key: key})
	require.NoError(t, err)
	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.Equal(t, store.Credential{ID: created.ID, Hash: key.Hash()}, c)
}

func TestCredential_NotFound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.Credential(t.Context(), "abcdefghijkl")
	requireFault(t, err, fault.NotFound, "not_found")
}

func TestCredential_FollowsTheTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	key := apikey.New(apikey.Tenant)
	_, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "backend", Key: key})
	require.NoError(t, err)
	_, err = b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.Equal(t, tenant.Deleting, c.TenantStatus)
	require.False(t, c.Revoked, "a tenant that is restored has its keys; its status refuses them")
}

func TestRevokeTenantKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	key, sibling := apikey.New(apikey.Tenant), apikey.New(apikey.Tenant)
	created, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "backend", Key: key})
	require.NoError(t, err)
	_, err = b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "sibling", Key: sibling})
	require.NoError(t, err)

	requireFault(t, b.RevokeTenantKey(t.Context(), other, created.ID), fault.NotFound, "key_not_found")
	requireFault(t, b.RevokeOperatorKey(t.Context(), created.ID), fault.NotFound, "key_not_found")
	requireFault(t, b.RevokeTenantKey(t.Context(), acme, id.New()), fault.NotFound, "key_not_found")
	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.False(t, c.Revoked)

	require.NoError(t, b.RevokeTenantKey(t.Context(), acme, created.ID))
	first := b.tenantKeys(acme)
	require.NotNil(t, first["backend"].RevokedAt)
	require.Nil(t, first["sibling"].RevokedAt)
	require.NoError(t, b.RevokeTenantKey(t.Context(), acme, created.ID))
	require.Equal(t, first, b.tenantKeys(acme), "the first time counts")
	c, err = b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.True(t, c.Revoked)
}

func (b *bundle) tenantKeys(tenantID string) map[string]store.APIKey {
	b.t.Helper()
	items, next, err := b.ListTenantKeys(b.t.Context(), tenantID, "", 100)
	require.NoError(b.t, err)
	require.Empty(b.t, next)
	keys := map[string]store.APIKey{}
	for _, item := range items {
		keys[item.Name] = item
	}
	return keys
}

func TestRevokeOperatorKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	key := apikey.New(apikey.Operator)
	created, err := b.CreateOperatorKey(t.Context(), store.NewKey{Name: "deploy", Key: key})
	require.NoError(t, err)
	requireFault(t, b.RevokeTenantKey(t.Context(), acme, created.ID), fault.NotFound, "key_not_found")
	requireFault(t, b.RevokeOperatorKey(t.Context(), uuid.Nil), fault.NotFound, "key_not_found")
	require.NoError(t, b.RevokeOperatorKey(t.Context(), created.ID))
	require.NoError(t, b.RevokeOperatorKey(t.Context(), created.ID))
	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.True(t, c.Revoked)
}

func TestListKeys_PagesOfTheirOwner(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	for _, name := range []string{"one", "two", "three"} {
		_, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: name, Key: apikey.New(apikey.Tenant)})
		require.NoError(t, err)
		_, err = b.CreateOperatorKey(t.Context(), store.NewKey{Name: "operator " + name, Key: apikey.New(apikey.Operator)})
		require.NoError(t, err)
	}
	_, err := b.CreateTenantKey(t.Context(), other, store.NewKey{Name: "foreign", Key: apikey.New(apikey.Tenant)})
	require.NoError(t, err)

	got := pages(t, func(after string) ([]store.APIKey, string, error) {
		return b.ListTenantKeys(t.Context(), acme, after, 2)
	})
	require.Equal(t, [][]string{{"three", "two"}, {"one"}}, keyNames(got))
	got = pages(t, func(after string) ([]store.APIKey, string, error) { return b.ListOperatorKeys(t.Context(), after, 2) })
	require.Equal(t, [][]string{{"operator three", "operator two"}, {"operator one"}}, keyNames(got))
	got = pages(t, func(after string) ([]store.APIKey, string, error) {
		return b.ListTenantKeys(t.Context(), "nobody", after, 2)
	})
	require.Equal(t, [][]string{nil}, keyNames(got))
}

func keyNames(pages [][]store.APIKey) [][]string {
	names := make([][]string, len(pages))
	for i, page := range pages {
		for _, item := range page {
			names[i] = append(names[i], item.Name)
		}
	}
	return names
}

func TestListKeys_RefuseStrangeCursors(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, after := range strangeCursors {
		_, _, err := b.ListTenantKeys(t.Context(), acme, after, 10)
		requireCursorRefused(t, err)
		_, _, err = b.ListOperatorKeys(t.Context(), after, 10)
		requireCursorRefused(t, err)
	}
}

// A prefix is looked up before a secret is compared, so there must never be two of one.
func TestCreateKey_PrefixIsUnique(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	key := apikey.New(apikey.Tenant)
	_, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "backend", Key: key})
	require.NoError(t, err)
	_, err = b.CreateTenantKey(t.Context(), other, store.NewKey{Name: "backend", Key: key})
	require.Error(t, err)
	_, err = b.CreateOperatorKey(t.Context(), store.NewKey{Name: "deploy", Key: key})
	require.Error(t, err)
	c, err := b.Credential(t.Context(), key.Prefix)
	require.NoError(t, err)
	require.Equal(t, acme, c.TenantID)
}
