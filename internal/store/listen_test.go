package store_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Changes of keys and tenants are told of, and nothing that is on the way of an email is.
func TestListenToChanges(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	created, err := b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "x", Key: apikey.New(apikey.Tenant)})
	require.NoError(t, err)
	heard := make(chan bool, 100)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ListenToChanges(ctx, slog.New(slog.DiscardHandler), func(listening bool) { heard <- listening })
	}()
	require.True(t, <-heard, "it listens")

	b.accept(newEmail(acme, "a@example.com"))
	require.NoError(t, b.TouchKeys(t.Context(), []uuid.UUID{created.ID}, time.Now()))
	_, err = b.CreateTemplate(t.Context(), acme, newTemplate("x"))
	require.NoError(t, err)
	_, err = b.CreateTenantKey(t.Context(), acme, store.NewKey{Name: "y", Key: apikey.New(apikey.Tenant)})
	require.NoError(t, err)
	for name, change := range map[string]func() error{
		"revoke": func() error { return b.RevokeTenantKey(t.Context(), acme, created.ID) },
		"update": func() error {
			_, err := b.UpdateTenant(t.Context(), acme, func(t *tenant.Tenant) error { t.Name = "x"; return nil })
			return err
		},
		"create": func() error {
			_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: other, Name: other, Domain: "acme.com"})
			return err
		},
		"activate": func() error { return b.ActivateTenant(t.Context(), other) },
	} {
		require.Empty(t, heard, "before %s", name)
		require.NoError(t, change())
		require.True(t, <-heard, name)
	}
	_, err = b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	require.True(t, <-heard)
	stop()
	<-done
	require.False(t, <-heard, "it does not any more")
	require.Empty(t, heard)
}
