package activities

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailtura/mailtura/internal/store"
)

const (
	// fenceEvery is how often a process asks which tenants are suspended: what has begun before is stopped within it.
	fenceEvery = 500 * time.Millisecond
	// suspendedLook is when a delivery looks again by itself; whoever resumes the tenant has it look at once.
	suspendedLook = time.Hour
	// stoppedLook is when it does where the fence has stopped it: the tenant may be resumed since the fence was set up.
	stoppedLook = time.Second
)

// errSuspended stops a delivery whose tenant was suspended meanwhile.
var errSuspended = errors.New("the tenant is suspended")

// Fence knows the tenants of whom nothing goes out, so that a hand-over need not ask the database.
type Fence struct {
	suspended atomic.Pointer[map[string]bool]
}

// Watch keeps the fence as the database has it, until the context ends.
func (f *Fence) Watch(ctx context.Context, s *store.Store, log *slog.Logger) {
	tick := time.NewTicker(fenceEvery)
	defer tick.Stop()
	for told := false; ; {
		err := f.Look(ctx, s)
		if err != nil && !told && ctx.Err() == nil {
			log.Warn("suspended tenants are looked for again", slog.Any("error", err))
		}
		told = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look asks the database once.
func (f *Fence) Look(ctx context.Context, s *store.Store) error {
	ids, err := s.Suspended(ctx)
	if err != nil {
		return err
	}
	suspended := make(map[string]bool, len(ids))
	for _, id := range ids {
		suspended[id] = true
	}
	f.suspended.Store(&suspended)
	return nil
}

// Stops reports whether nothing of a tenant goes out.
func (f *Fence) Stops(tenantID string) bool {
	if f == nil {
		return false
	}
	suspended := f.suspended.Load()
	return suspended != nil && (*suspended)[tenantID]
}

// rest leaves everything as it is until the suspension ends, but for what was cut off or has expired and is next: of a
// mail that is in nobody's hands, nothing says that it is.
func (r *delivery) rest(ctx context.Context) error {
	r.suspended = time.Now().Add(suspendedLook)
	due, err := r.Store.ListDue(ctx, r.in.TenantID, r.in.DispatchID, time.Now(), chunk)
	if err != nil {
		return err
	}
	_, err = r.settle(ctx, due)
	return err
}
