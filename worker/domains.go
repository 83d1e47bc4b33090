package worker

import (
	"context"
	"time"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	// watchLate is how long over the time of its look a domain is before its workflow is taken to be gone. A request
	// that makes a domain starts it itself.
	watchLate = 20 * time.Second
	// watchAgain is when it is looked for once more, should nothing have come of it.
	watchAgain    = 5 * time.Minute
	watchTogether = 100
)

// recoverDomains starts the workflows of domains that nobody has looked at when it was time.
func recoverDomains(ctx context.Context, s *store.Store, f *flow.Client) error {
	now := time.Now()
	late, err := s.ClaimUnwatchedDomains(ctx, now.Add(-watchLate), now.Add(watchAgain), watchTogether)
	if err != nil {
		return err
	}
	for _, d := range late {
		if err := f.WatchDomain(telemetry.WithTenant(ctx, d.TenantID), d.TenantID, d.ID); err != nil {
			return err
		}
	}
	return nil
}
