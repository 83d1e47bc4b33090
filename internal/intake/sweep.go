package intake

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
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
// workflow was not started. Every process may sweep; claims and workflow ids keep
// each email in one dispatch and each dispatch in one workflow.
func (d *Dispatcher) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := d.SweepOnce(ctx, time.Now().Add(-staleAfter)); err != nil && ctx.Err() == nil {
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
