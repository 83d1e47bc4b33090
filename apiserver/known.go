package apiserver

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// known remembers, for a moment, what every request asks the database for: keys and
// tenants. What this process changes it forgets at once; what another one changes is seen
// when the moment is over.
type known struct {
	store       *store.Store
	credentials *otter.Cache[string, store.Credential] // nil: nothing is remembered
	tenants     *otter.Cache[string, tenant.Tenant]
}

const maxKnown = 10_000

func newKnown(s *store.Store, moment time.Duration) known {
	k := known{store: s}
	if moment > 0 {
		k.credentials = otter.Must(&otter.Options[string, store.Credential]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryWriting[string, store.Credential](moment),
		})
		k.tenants = otter.Must(&otter.Options[string, tenant.Tenant]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryWriting[string, tenant.Tenant](moment),
		})
	}
	return k
}

func (k *known) credential(ctx context.Context, prefix string) (store.Credential, error) {
	if k.credentials == nil {
		return k.store.Credential(ctx, prefix)
	}
	return k.credentials.Get(context.WithoutCancel(ctx), prefix, otter.LoaderFunc[string, store.Credential](k.store.Credential))
}

func (k *known) tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	if k.tenants == nil {
		return k.store.Tenant(ctx, tenantID)
	}
	return k.tenants.Get(context.WithoutCancel(ctx), tenantID, otter.LoaderFunc[string, tenant.Tenant](k.store.Tenant))
}

// forget is for after a change of a tenant or a key.
func (k *known) forget() {
	if k.credentials != nil {
		k.credentials.InvalidateAll()
		k.tenants.InvalidateAll()
	}
}
