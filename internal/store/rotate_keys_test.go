package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
)

func rotation(old uuid.UUID) store.Rotation {
	return store.Rotation{
		Old: old, New: apikey.New(apikey.Tenant), Now: time.Now(), Overlap: time.Hour, Allow: func(apikey.Grant, apikey.Networks) error { return nil },
	}
}

func TestRotateTenantKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	grant := apikey.Grant{apikey.EmailsRead, apikey.EmailsSend}
	old, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "app", Key: apikey.New(apikey.Tenant), Grant: grant})
	require.NoError(t, err)

	_, err = b.RotateTenantKey(t.Context(), other, rotation(old.ID))
	requireFault(t, err, fault.NotFound, "key_not_found")
	_, err = b.RotateOperatorKey(t.Context(), rotation(old.ID))
	requireFault(t, err, fault.NotFound, "key_not_found")
	r, refusal := rotation(old.ID), errors.New("no")
	r.Allow = func(g apikey.Grant, _ apikey.Networks) error {
		require.Equal(t, grant, g)
		return refusal
	}
	_, err = b.RotateTenantKey(t.Context(), acme, r)
	require.ErrorIs(t, err, refusal)
	require.Equal(t, old, b.tenantKeys(acme)["app"], "nothing was done so far")

	r = rotation(old.ID)
	made, err := b.RotateTenantKey(t.Context(), acme, r)
	require.NoError(t, err)
	c, err := b.Credential(t.Context(), r.New.Prefix)
	require.NoError(t, err)
	require.Equal(t, store.Credential{ID: made.ID, TenantID: acme, TenantStatus: c.TenantStatus, Hash: r.New.Hash(), Grant: grant}, c)
	c, err = b.Credential(t.Context(), old.Prefix)
	require.NoError(t, err)
	require.WithinDuration(t, r.Now.Add(time.Hour), *c.ExpiresAt, time.Millisecond)
}

// Of rotations of one key at the same time one is done: no secret is given out twice over.
func TestRotateOperatorKey_Once(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	old, err := b.CreateOperatorKey(t.Context(), store.NewKey{Name: "deploy", Key: apikey.New(apikey.Operator)})
	require.NoError(t, err)
	results := make([]error, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { _, results[i] = b.RotateOperatorKey(t.Context(), rotation(old.ID)) })
	}
	wg.Wait()
	done := 0
	for _, err := range results {
		if err == nil {
			done++
			continue
		}
		requireFault(t, err, fault.Conflict, "key_ended")
	}
	require.Equal(t, 1, done)
	items, _, err := b.ListOperatorKeys(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, items, 2)
}

func TestTouchKeys(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	ids := map[string]uuid.UUID{}
	for _, name := range []string{"one", "two", "idle"} {
		k, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: name, Key: apikey.New(apikey.Tenant)})
		require.NoError(t, err)
		ids[name] = k.ID
	}
	late := time.Now().Truncate(time.Microsecond)
	require.NoError(t, b.TouchKeys(t.Context(), []uuid.UUID{ids["one"], ids["two"], uuid.New()}, late))
	require.NoError(t, b.TouchKeys(t.Context(), []uuid.UUID{ids["one"]}, late.Add(-time.Hour)), "of another process, whose write was slow")
	keys := b.tenantKeys(acme)
	require.True(t, keys["one"].LastUsedAt.Equal(late))
	require.True(t, keys["two"].LastUsedAt.Equal(late))
	require.Nil(t, keys["idle"].LastUsedAt)
}
