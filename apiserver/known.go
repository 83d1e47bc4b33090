package apiserver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// known remembers what every request asks the database for: keys and tenants. The database
// tells of every change, and then all is forgotten. While it can not be listened to, things are
// remembered for a moment only.
type known struct {
	store       *store.Store
	credentials memory[store.Credential]
	tenants     memory[tenant.Tenant]
	domains     memory[[]string] // that tenants may send from
	listening   *atomic.Bool
	generation  *atomic.Uint64
	patience    time.Duration // with the database
}

const (
	maxKnown = 10_000
	// unheard is how long things are remembered while changes are not heard of: half of the
	// second within which a revocation takes effect on every process.
	unheard = 500 * time.Millisecond
)

// newKnown remembers things for a while; 0: not at all. What a database that hangs does not say
// within patience is unavailable: every request begins here, and none may wait for ever.
func newKnown(s *store.Store, while, patience time.Duration) known {
	k := known{store: s, listening: &atomic.Bool{}, generation: &atomic.Uint64{}, patience: patience}
	if while > 0 {
		lasting := func() time.Duration {
			if k.listening.Load() {
				return while
			}
			return min(while, unheard)
		}
		k.credentials, k.tenants = newMemory[store.Credential](lasting), newMemory[tenant.Tenant](lasting)
		k.domains = newMemory[[]string](lasting)
	}
	return k
}

// memory is a cache of one kind of thing; nil: nothing is remembered.
type memory[V any] struct{ *otter.Cache[remembered, V] }

// remembered is what is remembered by its name. What was loaded before everything was
// forgotten, but came after, is of a generation that nobody asks for any more.
type remembered struct {
	generation uint64
	name       string
}

func newMemory[V any](lasting func() time.Duration) memory[V] {
	return memory[V]{otter.Must(&otter.Options[remembered, V]{
		MaximumSize:      maxKnown,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(otter.Entry[remembered, V]) time.Duration { return lasting() }),
	})}
}

// get gives what is remembered, or loads it. loaded says that it came from the database just now.
func (m memory[V]) get(
	ctx context.Context, generation uint64, name string, load func(context.Context, string) (V, error),
) (v V, loaded bool, err error) {
	if m.Cache == nil {
		v, err = load(ctx, name)
		return v, true, err
	}
	loader := otter.LoaderFunc[remembered, V](func(ctx context.Context, r remembered) (V, error) {
		loaded = true
		return load(ctx, r.name)
	})
	v, err = m.Get(context.WithoutCancel(ctx), remembered{generation, name}, loader)
	return v, loaded, err
}

// credential is a key by its prefix.
func (k *known) credential(ctx context.Context, prefix string) (c store.Credential, loaded bool, err error) {
	return k.credentials.get(ctx, k.generation.Load(), prefix, within(k.patience, k.store.Credential))
}

func (k *known) tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	t, _, err := k.tenants.get(ctx, k.generation.Load(), tenantID, within(k.patience, k.store.Tenant))
	return t, err
}

// within gives up what is loaded after a while.
func within[V any](while time.Duration, load func(context.Context, string) (V, error)) func(context.Context, string) (V, error) {
	return func(ctx context.Context, name string) (V, error) {
		ctx, cancel := context.WithTimeout(ctx, while)
		defer cancel()
		return load(ctx, name)
	}
}

// forget is for after a change of a tenant or a key.
func (k *known) forget() {
	k.generation.Add(1)
	if k.credentials.Cache != nil {
		k.credentials.InvalidateAll()
		k.tenants.InvalidateAll()
		k.domains.InvalidateAll()
	}
}

// heard is what the listener to changes calls: with whether it hears of them from now on, and
// after each.
func (k *known) heard(listening bool) {
	k.listening.Store(listening)
	k.forget()
}
