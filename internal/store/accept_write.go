package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
)

// write writes what was accepted, with the days that it is reserved on and the answers
// that it was given.
func (g *group) write(ctx context.Context, q *db.Queries) error {
	p := db.WriteGroupParams{CreatedAt: g.now}
	for i, r := range g.requests {
		accepted := 0
		for j, e := range r.Emails {
			if receipt := g.receipts[i][j]; receipt.Err == nil {
				accepted++
				if err := addEmail(&p, e, receipt); err != nil {
					return err
				}
			}
		}
		if accepted > 0 && r.Answer != nil {
			if err := addAnswer(&p, r, g.receipts[i]); err != nil {
				return err
			}
		}
	}
	crossed := map[string][]quota.Crossing{}
	var usage db.SetUsageParams
	for _, id := range g.ids {
		if c := g.senders[id].calendar; c != nil {
			crossed[id] = c.Tell()
			for use := range c.Changed {
				addUsage(&usage, id, use)
			}
		}
	}
	if len(usage.Days) == 0 { // then nothing was accepted, and no limit come to
		return nil
	}
	p.UsageTenantIds, p.UsageDays, p.UsageReserved, p.UsageTold = usage.TenantIds, usage.Days, usage.Reserved, usage.Told
	if err := tellOfQuota(ctx, q, crossed, g.now); err != nil {
		return err
	}
	return q.WriteGroup(ctx, p)
}

// date reads a date that quota has made, as midnight UTC.
func date(day string) time.Time {
	t, _ := time.Parse(time.DateOnly, day)
	return t
}

func addAnswer(p *db.WriteGroupParams, r intake.Request, receipts []intake.Receipt) error {
	status, body, err := r.Answer.Render(receipts)
	if err != nil {
		return err
	}
	p.AnswerTenantIds = append(p.AnswerTenantIds, r.Emails[0].TenantID)
	p.AnswerKeys = append(p.AnswerKeys, r.Answer.Key)
	p.AnswerHashes = append(p.AnswerHashes, r.Answer.Hash)
	p.AnswerStatuses = append(p.AnswerStatuses, int32(status))
	p.AnswerBodies = append(p.AnswerBodies, body)
	return nil
}

func addEmail(p *db.WriteGroupParams, e email.Email, receipt intake.Receipt) error {
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
	p.Classes = append(p.Classes, string(e.Class))
	p.EmailDays = append(p.EmailDays, date(receipt.Day))
	p.Held = append(p.Held, receipt.Status == email.Held)
	p.ScheduledAt = append(p.ScheduledAt, orEpoch(e.ScheduledAt))
	p.ExpiresAt = append(p.ExpiresAt, orEpoch(e.ExpiresAt))
	p.ReleaseAt = append(p.ReleaseAt, orEpoch(receipt.ReleaseAt))
	p.Contents = append(p.Contents, content)
	for i, r := range e.Recipients {
		p.RecipientTenantIds = append(p.RecipientTenantIds, e.TenantID)
		p.RecipientIds = append(p.RecipientIds, r.ID)
		p.RecipientEmailIds = append(p.RecipientEmailIds, e.ID)
		p.Positions = append(p.Positions, int16(i))
		p.Kinds = append(p.Kinds, string(r.Kind))
		p.Addresses = append(p.Addresses, r.Address.Addr)
		p.Names = append(p.Names, r.Address.Name)
		p.Statuses = append(p.Statuses, string(receipt.Status))
		if receipt.Status == email.Scheduled {
			p.ScheduledTenantIds = append(p.ScheduledTenantIds, e.TenantID)
			p.ScheduledEmailIds = append(p.ScheduledEmailIds, e.ID)
			p.ScheduledRecipientIds = append(p.ScheduledRecipientIds, r.ID)
			p.ScheduledFor = append(p.ScheduledFor, e.ScheduledAt.Format(time.RFC3339Nano))
		}
	}
	return nil
}

// orEpoch stands the epoch in for the zero time, which SQL turns into null.
func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}
