package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// sender is a tenant whose row is locked, with what it has reserved by day.
type sender struct {
	err      error // why nothing more of it is accepted
	settings tenant.Settings
	calendar *quota.Calendar // nil: there is no such tenant
}

// lockSenders locks tenants, in the order of their ids, which must be sorted, and reads what
// decides whether and how much they may send. One that does not exist has the fault
// tenant_not_found.
func lockSenders(ctx context.Context, q *db.Queries, ids []string, now time.Time) (map[string]*sender, error) {
	senders := make(map[string]*sender, len(ids))
	for _, id := range ids {
		senders[id] = &sender{err: fault.New(fault.NotFound, "tenant_not_found", "There is no tenant %q.", id)}
	}
	rows, err := q.GetSenders(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		s := senders[row.ID]
		s.err = tenant.MaySend(tenant.Status(row.Status))
		if err := json.Unmarshal(row.Settings, &s.settings); err != nil {
			return nil, err
		}
		s.calendar = quota.NewCalendar(s.settings.DailyLimit, s.settings.Location())
	}
	usage, err := q.ListUsage(ctx, ids, yesterday(now))
	for _, row := range usage {
		if s := senders[row.TenantID]; s.calendar != nil {
			s.calendar.Load(row.Day.Format(time.DateOnly), int(row.Reserved), int(row.Told))
		}
	}
	return senders, err
}

// yesterday is a date that is over in every time zone but for those where it is today.
func yesterday(now time.Time) time.Time { return now.UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour) }

// asSender runs change in a transaction under the lock that accepting takes, and writes what
// it changes in the tenant's calendar; fault tenant_not_found.
func (s *Store) asSender(
	ctx context.Context, operation, tenantID string, now time.Time, change func(*db.Queries, *sender) error,
) error {
	return s.inSystem(ctx, operation, func(q *db.Queries) error {
		senders, err := lockSenders(ctx, q, []string{tenantID}, now)
		if err != nil {
			return err
		}
		sd := senders[tenantID]
		if sd.calendar == nil {
			return sd.err
		}
		if err := change(q, sd); err != nil {
			return err
		}
		return sd.writeUsage(ctx, q, tenantID, now)
	})
}

// writeUsage writes the days that have changed, but for those that are over, and tells of
// what they have come to.
func (s *sender) writeUsage(ctx context.Context, q *db.Queries, tenantID string, now time.Time) error {
	if err := tellOfQuota(ctx, q, map[string][]quota.Crossing{tenantID: s.calendar.Tell()}, now); err != nil {
		return err
	}
	var p db.SetUsageParams
	for use := range s.calendar.Changed {
		if !date(use.Day).Before(yesterday(now)) {
			addUsage(&p, tenantID, use)
		}
	}
	if len(p.Days) == 0 {
		return nil
	}
	return q.SetUsage(ctx, p)
}

func addUsage(p *db.SetUsageParams, tenantID string, use quota.DayUse) {
	p.TenantIds, p.Days = append(p.TenantIds, tenantID), append(p.Days, date(use.Day))
	p.Reserved, p.Told = append(p.Reserved, int32(use.Reserved)), append(p.Told, int16(use.Told))
}

// tellOfQuota appends the events of shares of daily limits that were come to, by tenant.
func tellOfQuota(ctx context.Context, q *db.Queries, crossed map[string][]quota.Crossing, now time.Time) error {
	p := db.InsertEventsParams{Now: now}
	for _, tenantID := range slices.Sorted(maps.Keys(crossed)) {
		for _, c := range crossed[tenantID] {
			data, err := json.Marshal(c)
			if err != nil {
				return err
			}
			kind := event.QuotaWarning
			if c.Percent == quota.Full {
				kind = event.QuotaReached
			}
			p.TenantIds, p.Types, p.Data = append(p.TenantIds, tenantID), append(p.Types, string(kind)), append(p.Data, string(data))
		}
	}
	if len(p.Types) == 0 {
		return nil
	}
	return q.InsertEvents(ctx, p)
}
