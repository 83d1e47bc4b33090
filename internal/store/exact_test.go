package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// model does to a tenant what its users and workers do, at random, from two processes at once.
type model struct {
	*bundle
	stores []*store.Store
	now    time.Time
	emails []email.Email
	limit  int
}

// expected are the faults that a random operation may have.
var expected = map[string]bool{
	"daily_limit_reached": true, "nothing_to_cancel": true, "email_not_scheduled": true, "nothing_to_retry": true, "email_being_sent": true,
}

// operation is something to be done from a store. It draws its lots before it runs beside others.
type operation func(s *store.Store) error

func (m *model) draw(r *rand.Rand) operation {
	ctx, now := m.t.Context(), m.now
	one := func() uuid.UUID { return m.emails[r.IntN(len(m.emails))].ID }
	soon := func() time.Time { return now.Add(time.Duration(r.IntN(80)-4) * time.Hour) }
	switch r.IntN(8) {
	case 0:
		emailID := one()
		return func(s *store.Store) error {
			_, err := s.Cancel(ctx, acme, emailID, now)
			return err
		}
	case 1:
		emailID, at := one(), soon()
		return func(s *store.Store) error { return s.Reschedule(ctx, acme, emailID, at, now) }
	case 2:
		limit := r.IntN(5)
		return func(s *store.Store) error {
			_, err := s.Release(ctx, now, limit)
			return err
		}
	case 3:
		emailID := one()
		return func(s *store.Store) error {
			_, _, err := s.Retry(ctx, acme, emailID, now)
			return err
		}
	case 4:
		ids, lots := []uuid.UUID{one(), one(), one()}, r.Perm(4)
		return func(s *store.Store) error { return m.deliver(s, ids, lots) }
	default:
		e := to(1 + r.IntN(3))
		if r.IntN(3) == 0 {
			e.ScheduledAt = soon()
		}
		if r.IntN(4) == 0 {
			e.ExpiresAt = now.Add(time.Duration(1+r.IntN(90)) * time.Hour)
		}
		m.emails = append(m.emails, e)
		return func(s *store.Store) error {
			receipts, err := acceptAt(ctx, s, now, []email.Email{e})
			if err == nil {
				err = receipts[0].Err
			}
			return err
		}
	}
}

// deliver tries what of these emails waits for a dispatch, with outcomes by lot.
func (m *model) deliver(s *store.Store, emails []uuid.UUID, lots []int) error {
	ctx, dispatch := m.t.Context(), id.New()
	if n, err := s.ClaimDispatch(ctx, acme, email.Transactional, dispatch, emails); n == 0 || err != nil {
		return err
	}
	due, err := s.ListDue(ctx, acme, dispatch, m.now, 100)
	if err != nil {
		return err
	}
	numbers, err := s.StartAttempts(ctx, acme, due, m.now)
	if err != nil {
		return err
	}
	var outcomes []store.Outcome
	for i, d := range due {
		if number, claimed := numbers[d.RecipientID]; claimed {
			o := sent(d.RecipientID, number)
			o.Status = []email.Status{email.Sent, email.Deferred, email.Failed, email.Unknown}[lots[i%4]]
			outcomes = append(outcomes, o)
		}
	}
	return s.FinishAttempts(ctx, acme, outcomes)
}

// changeLimit does what a change of the tenant does.
func (m *model) changeLimit(r *rand.Rand) operation {
	limit, rule := 1+r.IntN(12), []string{tenant.Reject, tenant.Queue, tenant.Queue}[r.IntN(3)]
	m.limit = limit
	return func(s *store.Store) error {
		if _, err := s.UpdateTenant(m.t.Context(), acme, func(u *tenant.Tenant) error {
			u.Settings.DailyLimit, u.Settings.OverLimit = &limit, rule
			return nil
		}); err != nil {
			return err
		}
		_, err := s.Rehold(m.t.Context(), acme, m.now)
		return err
	}
}

// reservations are, by day, what daily_usage says, and what the emails say: every recipient counts on its email's day, but for
// those that were cancelled before they were tried.
func (m *model) reservations() (kept, counted map[string]int) {
	m.t.Helper()
	counted = map[string]int{}
	rows, err := m.conn.Query(m.t.Context(), `SELECT e.usage_day::text, count(*) FROM emails e JOIN recipients r ON r.email_id = e.id
		WHERE (r.status <> 'cancelled' OR r.attempts > 0) AND e.usage_day < '9999-01-01' GROUP BY 1`) // then: no day has room
	require.NoError(m.t, err)
	var day string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&day, &n}, func() error {
		counted[day] = n
		return nil
	})
	require.NoError(m.t, err)
	return m.reserved(acme), counted
}

// The promise of the daily limit, whatever happens to the mail that waits: what is reserved is what there is, and no day is given
// more than its limit. Only a limit that is lowered leaves more, which never grows.
func TestCalendar_IsExactWhateverHappens(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := &model{bundle: b, now: time.Date(2026, 10, 23, 6, 0, 0, 0, time.UTC), limit: 6} // there are 25 hours in the 25th
	m.stores = []*store.Store{b.Store, open(t, b.url)}
	b.activate(acme, tenant.Settings{DailyLimit: &m.limit, OverLimit: tenant.Queue, Timezone: "Europe/Berlin"})
	for range 4 {
		m.emails = append(m.emails, to(2))
	}
	b.acceptAll(m.now, m.emails...)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	before := map[string]int{}
	for round := range 60 {
		where := fmt.Sprintf("round %d of seed %d", round, seed)
		most := m.limit
		var operations []operation
		for range 6 {
			operations = append(operations, m.draw(r))
		}
		if r.IntN(4) == 0 {
			operations = append(operations, m.changeLimit(r))
		}
		require.NoError(t, inParallel(len(operations), func(i int) error {
			err := operations[i](m.stores[i%2])
			if expected[fault.CodeOf(err)] || fault.CodeOf(err) == "email_not_found" { // of an email that was refused, or is just being accepted
				return nil
			}
			return err
		}), where)
		most = max(most, m.limit)
		kept, counted := m.reservations()
		yesterday := m.now.AddDate(0, 0, -1).Format(time.DateOnly)
		for day, n := range counted {
			if day >= yesterday {
				require.Equal(t, n, kept[day], "%s on %s", day, where)
			}
		}
		for day, n := range kept {
			if day >= yesterday {
				require.Equal(t, counted[day], n, "%s on %s", day, where)
			}
			require.LessOrEqual(t, n, max(most, before[day]), "%s on %s", day, where)
		}
		before = kept
		m.now = m.now.Add(time.Duration(r.IntN(150)) * time.Minute)
	}
}
