package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

var _ intake.Ledger = (*Store)(nil)

// Accept writes a group of emails in one transaction. The recipients are reserved
// against their tenants' daily limits in the same transaction, under a lock on the
// tenant's day, so the limit holds exactly under any parallel load.
func (s *Store) Accept(ctx context.Context, now time.Time, group []email.Email) (receipts []intake.Receipt, err error) {
	err = s.inSystem(ctx, "accept emails", func(q *db.Queries) error {
		g := newGroup(now, group)
		if err := g.loadSenders(ctx, q); err != nil {
			return err
		}
		if err := g.reserve(ctx, q); err != nil {
			return err
		}
		receipts = g.receipts
		return g.write(ctx, q)
	})
	return receipts, err
}

// group is a group of emails on its way into the database.
type group struct {
	now      time.Time
	emails   []email.Email
	receipts []intake.Receipt
	senders  map[string]*sender
	ids      []string // of the senders, sorted: the order in which rows are locked
}

// sender is a tenant of the group on its present day.
type sender struct {
	err      error // why nothing of it is accepted
	settings tenant.Settings
	day      time.Time // date, as midnight UTC
	resetsAt time.Time
	reserved int
}

func newGroup(now time.Time, emails []email.Email) *group {
	g := &group{now: now, emails: emails, receipts: make([]intake.Receipt, len(emails)), senders: map[string]*sender{}}
	for _, e := range emails {
		if g.senders[e.TenantID] == nil {
			g.senders[e.TenantID] = &sender{err: fault.New(fault.NotFound, "tenant_not_found", "There is no tenant %q.", e.TenantID)}
			g.ids = append(g.ids, e.TenantID)
		}
	}
	slices.Sort(g.ids)
	return g
}

// loadSenders reads what decides whether and how much the tenants may send.
func (g *group) loadSenders(ctx context.Context, q *db.Queries) error {
	rows, err := q.GetSenders(ctx, g.ids)
	if err != nil {
		return err
	}
	for _, row := range rows {
		s := g.senders[row.ID]
		s.err = tenant.MaySend(tenant.Status(row.Status))
		if err := json.Unmarshal(row.Settings, &s.settings); err != nil {
			return err
		}
		date, resetsAt := quota.Day(g.now, s.settings.Location())
		s.resetsAt = resetsAt
		if s.day, err = time.Parse(time.DateOnly, date); err != nil {
			return err
		}
	}
	return nil
}

// reserve locks the tenants' days and decides, in order, which emails fit.
func (g *group) reserve(ctx context.Context, q *db.Queries) error {
	var ids []string
	var days []time.Time
	for _, id := range g.ids {
		if s := g.senders[id]; s.err == nil {
			ids, days = append(ids, id), append(days, s.day)
		}
	}
	if len(ids) > 0 {
		rows, err := q.LockDailyUsage(ctx, ids, days)
		if err != nil {
			return err
		}
		for _, row := range rows {
			g.senders[row.TenantID].reserved = int(row.Reserved)
		}
	}
	for i, e := range g.emails {
		g.receipts[i] = g.senders[e.TenantID].take(len(e.Recipients), g.now)
	}
	return nil
}

func (s *sender) take(recipients int, now time.Time) intake.Receipt {
	if s.err != nil {
		return intake.Receipt{Err: s.err}
	}
	limit := s.settings.DailyLimit
	if limit != nil && s.reserved+recipients > *limit {
		return intake.Receipt{Err: overDailyLimit(*limit, s.reserved, recipients, s.resetsAt, now)}
	}
	s.reserved += recipients
	return intake.Receipt{
		Weight: s.settings.FairShare(),
		Quota:  quota.Standing{Limit: limit, Used: s.reserved, ResetsAt: s.resetsAt},
	}
}

func overDailyLimit(limit, used, requested int, resetsAt, now time.Time) error {
	f := fault.New(fault.Exhausted, "daily_limit_reached",
		"The daily limit of %d recipients does not allow %d more: %d are used.", limit, requested, used)
	f.RetryAfter = resetsAt.Sub(now)
	f.Extra = map[string]any{"limit": limit, "used": used, "requested": requested, "resetsAt": resetsAt.UTC()}
	return f
}

// write writes what was accepted; when nothing was, the days that were locked stay as they are.
func (g *group) write(ctx context.Context, q *db.Queries) error {
	p := db.WriteGroupParams{CreatedAt: g.now}
	for _, id := range g.ids {
		if s := g.senders[id]; s.err == nil {
			p.UsageTenantIds = append(p.UsageTenantIds, id)
			p.UsageDays = append(p.UsageDays, s.day)
			p.UsageReserved = append(p.UsageReserved, int32(s.reserved))
		}
	}
	for i, e := range g.emails {
		if g.receipts[i].Err != nil {
			continue
		}
		if err := addEmail(&p, e); err != nil {
			return err
		}
	}
	if len(p.Ids) == 0 {
		return nil
	}
	return q.WriteGroup(ctx, p)
}

func addEmail(p *db.WriteGroupParams, e email.Email) error {
	content, err := json.Marshal(e.Content)
	if err != nil {
		return err
	}
	var templateID uuid.UUID
	var templateVersion int32
	if e.TemplateID != nil {
		templateID, templateVersion = *e.TemplateID, *e.TemplateVersion
	}
	metadata := string(e.Metadata)
	if metadata == "" {
		metadata = "{}"
	}
	p.TenantIds = append(p.TenantIds, e.TenantID)
	p.Ids = append(p.Ids, e.ID)
	p.Subjects = append(p.Subjects, e.Subject)
	p.FromAddresses = append(p.FromAddresses, e.From.Addr)
	p.FromNames = append(p.FromNames, e.From.Name)
	p.TemplateIds = append(p.TemplateIds, templateID)
	p.TemplateVersions = append(p.TemplateVersions, templateVersion)
	p.Tags = append(p.Tags, strings.Join(e.Tags, "\x1f"))
	p.Metadata = append(p.Metadata, metadata)
	p.TraceParents = append(p.TraceParents, e.TraceParent)
	p.Contents = append(p.Contents, content)
	for i, r := range e.Recipients {
		p.RecipientTenantIds = append(p.RecipientTenantIds, e.TenantID)
		p.RecipientIds = append(p.RecipientIds, r.ID)
		p.RecipientEmailIds = append(p.RecipientEmailIds, e.ID)
		p.Positions = append(p.Positions, int16(i))
		p.Kinds = append(p.Kinds, string(r.Kind))
		p.Addresses = append(p.Addresses, r.Address.Addr)
		p.Names = append(p.Names, r.Address.Name)
	}
	return nil
}
