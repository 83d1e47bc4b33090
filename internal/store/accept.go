package store

import (
	"context"
	"slices"
	"time"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

var _ intake.Ledger = (*Store)(nil)

// Accept writes a group of requests in one transaction. The recipients are reserved
// against their tenants' daily limits in the same transaction, under a lock on the
// tenant, so the limit holds exactly under any parallel load.
func (s *Store) Accept(ctx context.Context, now time.Time, requests []intake.Request) (receipts [][]intake.Receipt, err error) {
	err = s.inSystem(ctx, "accept emails", func(q *db.Queries) error {
		g := newGroup(now, requests)
		if g.senders, err = lockSenders(ctx, q, g.ids, now); err != nil {
			return err
		}
		if err := g.findAnswered(ctx, q); err != nil {
			return err
		}
		g.reserve()
		receipts = g.receipts
		return g.write(ctx, q)
	})
	return receipts, err
}

// group is a group of requests on its way into the database.
type group struct {
	now      time.Time
	requests []intake.Request
	receipts [][]intake.Receipt
	senders  map[string]*sender
	ids      []string // of the senders, sorted: the order in which they are locked
	answered map[answerKey]bool
}

type answerKey struct{ tenantID, key string }

func newGroup(now time.Time, requests []intake.Request) *group {
	g := &group{
		now: now, requests: requests, receipts: make([][]intake.Receipt, len(requests)),
		answered: map[answerKey]bool{},
	}
	known := map[string]bool{}
	for i, r := range requests {
		g.receipts[i] = make([]intake.Receipt, len(r.Emails))
		for _, e := range r.Emails {
			if !known[e.TenantID] {
				known[e.TenantID] = true
				g.ids = append(g.ids, e.TenantID)
			}
		}
	}
	slices.Sort(g.ids)
	return g
}

// findAnswered finds the idempotency keys of the group that another process has answered
// meanwhile.
func (g *group) findAnswered(ctx context.Context, q *db.Queries) error {
	p := db.ListAnsweredParams{Since: g.now.Add(-answersKept)}
	for _, r := range g.requests {
		if r.Answer != nil && len(r.Emails) > 0 {
			p.TenantIds, p.Keys = append(p.TenantIds, r.Emails[0].TenantID), append(p.Keys, r.Answer.Key)
		}
	}
	if len(p.Keys) == 0 {
		return nil
	}
	rows, err := q.ListAnswered(ctx, p)
	for _, row := range rows {
		g.answered[answerKey{row.TenantID, row.Key}] = true
	}
	return err
}

// reserve decides, in order, what is accepted.
func (g *group) reserve() {
	for i, r := range g.requests {
		again := false
		if r.Answer != nil && len(r.Emails) > 0 {
			key := answerKey{r.Emails[0].TenantID, r.Answer.Key}
			again = g.answered[key]
			g.answered[key] = true
		}
		for j, e := range r.Emails {
			if again {
				g.receipts[i][j].Err = KeyInProgress()
				continue
			}
			g.receipts[i][j] = g.senders[e.TenantID].take(e, g.now)
		}
	}
}

// take reserves an email's recipients on the day on which it is to be sent, or, where the
// tenant lets mail over its limit wait, on the first one after it that has room.
func (s *sender) take(e email.Email, now time.Time) intake.Receipt {
	if s.err != nil {
		return intake.Receipt{Err: s.err}
	}
	receipt := intake.Receipt{Status: email.Queued, Weight: s.settings.FairShare()}
	at := now
	if e.ScheduledAt.After(now) {
		receipt.Status, receipt.ReleaseAt, at = email.Scheduled, e.ScheduledAt, e.ScheduledAt
	}
	day, ok := s.calendar.Reserve(len(e.Recipients), at)
	if !ok {
		full := s.calendar.Standing(at)
		if s.settings.OverLimit == tenant.Queue {
			receipt.Status = email.Held
			day, receipt.ReleaseAt, ok = s.calendar.Defer(len(e.Recipients), at)
		}
		if !ok || (!e.ExpiresAt.IsZero() && e.ExpiresAt.Before(receipt.ReleaseAt)) {
			if ok {
				s.calendar.Return(day, len(e.Recipients))
			}
			return intake.Receipt{Err: overDailyLimit(full, len(e.Recipients), now)}
		}
	}
	receipt.Day = day
	receipt.Quota = s.calendar.Standing(now)
	return receipt
}

func overDailyLimit(full quota.Standing, requested int, now time.Time) error {
	f := fault.New(fault.Exhausted, "daily_limit_reached",
		"The daily limit of %d recipients does not allow %d more: %d are used.", *full.Limit, requested, full.Used)
	f.RetryAfter = full.ResetsAt.Sub(now)
	f.Extra = map[string]any{"limit": *full.Limit, "used": full.Used, "requested": requested, "resetsAt": full.ResetsAt.UTC()}
	return f
}
