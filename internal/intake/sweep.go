package intake

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	sweepEvery = 10 * time.Second
	// staleAfter is how old something must be before it counts as left behind.
	staleAfter = 10 * time.Second
	sweepLimit = 5000
)

// Sweep finds, at once and then every 10 s until the context ends, what a crash or an
// outage has left behind: accepted emails without a dispatch, and dispatches whose
// workflow was not started, or is gone. Every process may sweep; claims and workflow ids keep
// each email in one dispatch and each dispatch in one workflow.
func (d *Dispatcher) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var orphans uuid.UUID
	for {
		err := d.SweepOnce(ctx, time.Now().Add(-staleAfter))
		if err == nil {
			orphans, err = d.SweepOrphans(ctx, orphans, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("sweep is tried again later", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// SweepOnce takes up what was made before an instant and left behind.
func (d *Dispatcher) SweepOnce(ctx context.Context, before time.Time) error {
	dispatches, err := d.ledger.ListStaleDispatches(ctx, before, sweepLimit)
	if err != nil {
		return err
	}
	for _, s := range dispatches {
		err := d.start(telemetry.WithTenant(ctx, s.TenantID), s)
		if fault.KindOf(err) == fault.Unavailable {
			return err
		}
		if err != nil {
			d.log.Warn("dispatch could not be started", slog.String(telemetry.TenantID, s.TenantID), slog.Any("error", err))
		}
	}
	emails, err := d.ledger.ListStaleEmails(ctx, before, sweepLimit)
	if err != nil {
		return err
	}
	here := map[queueKey]bool{} // queues here that will come to these by themselves
	var left []Pending
	for _, e := range emails {
		key := queueKey{e.TenantID, e.Class}
		waits, known := here[key]
		if !known {
			waits = d.waitsFor(key)
			here[key] = waits
		}
		if !waits {
			left = append(left, e)
		}
	}
	d.Add(left)
	return nil
}

const (
	orphanAfter = 10 * time.Minute // a dispatch is looked after once it is so old
	orphanLimit = 50               // dispatches in one sweep
)

// SweepOrphans looks after dispatches that are old and not finished, some of them at a time,
// from the one after after, and says where to go on. One whose workflow does not run any more
// (somebody has terminated it, or Temporal has lost it) has its emails dispatched anew.
func (d *Dispatcher) SweepOrphans(ctx context.Context, after uuid.UUID, now time.Time) (next uuid.UUID, err error) {
	carried, err := d.ledger.ListCarriedDispatches(ctx, now.Add(-orphanAfter), after, orphanLimit)
	if err != nil {
		return after, err
	}
	for _, c := range carried {
		runs, err := d.starter.Carries(ctx, c)
		if err != nil {
			return after, err
		}
		if after = c.ID; runs {
			continue
		}
		freed, err := d.ledger.AbandonDispatch(ctx, c.TenantID, c.ID, now)
		if err != nil {
			return after, err
		}
		d.log.Warn("workflow of a dispatch is gone", slog.String(telemetry.TenantID, c.TenantID),
			slog.String(telemetry.DispatchID, id.Dispatch.Format(c.ID)), slog.Int("emails", freed))
	}
	if len(carried) < orphanLimit {
		return uuid.Nil, nil
	}
	return after, nil
}

const (
	releaseEvery = time.Second
	releaseLimit = 1000
)

// Release takes up, every second until the context ends, emails whose time has come: those
// that are scheduled, and those that waited for a day with room.
func (d *Dispatcher) Release(ctx context.Context) {
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for {
		if err := d.ReleaseDue(ctx, time.Now()); err != nil && ctx.Err() == nil {
			d.log.Warn("release is tried again later", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ReleaseDue takes up the emails whose time has come by now.
func (d *Dispatcher) ReleaseDue(ctx context.Context, now time.Time) error {
	for {
		released, err := d.ledger.Release(ctx, now, releaseLimit)
		if err != nil {
			return err
		}
		d.Add(released)
		if len(released) < releaseLimit {
			return nil
		}
	}
}
