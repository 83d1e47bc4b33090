package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// EmailRecord is an email as it stands.
type EmailRecord struct {
	ID              uuid.UUID
	From            address.Address
	Subject         string
	TemplateID      *uuid.UUID
	TemplateVersion *int32
	Tags            []string
	Metadata        json.RawMessage
	DispatchID      *uuid.UUID // nil: no workflow carries it yet
	RunID           string     // of the workflow; may be empty for a moment after its start
	Class           email.Class
	ScheduledAt     *time.Time
	ExpiresAt       *time.Time
	ReleaseAt       *time.Time // until then it waits; nil: it need not
	CreatedAt       time.Time
	Recipients      []RecipientRecord
}

// RecipientRecord is a recipient as it stands.
type RecipientRecord struct {
	email.Recipient
	Status        email.Status
	Attempts      int
	NextAttemptAt *time.Time
	Reason        string
	Detail        string
	UpdatedAt     time.Time
	Engagement
}

// Status is the status that the recipients' make together.
func (e EmailRecord) Status() email.Status {
	statuses := make([]email.Status, len(e.Recipients))
	for i, r := range e.Recipients {
		statuses[i] = r.Status
	}
	return email.Overall(statuses)
}

// EmailFilter narrows a list of emails; empty fields do not.
type EmailFilter struct {
	Tag       string
	Recipient string // exact address
	Status    string // emails with at least one recipient of this status
}

// Email gives an email; fault email_not_found.
func (s *Store) Email(ctx context.Context, tenantID string, emailID uuid.UUID) (e EmailRecord, err error) {
	err = s.inTenant(ctx, "get email", tenantID, func(q *db.Queries) error {
		e, err = getEmail(ctx, q, tenantID, emailID)
		return err
	})
	return e, err
}

func getEmail(ctx context.Context, q *db.Queries, tenantID string, emailID uuid.UUID) (EmailRecord, error) {
	row, err := q.GetEmail(ctx, tenantID, emailID)
	if err != nil {
		return EmailRecord{}, notFound(translate("select email", err), "email_not_found", "There is no such email.")
	}
	records := []EmailRecord{toEmailRecord(row)}
	err = addRecipients(ctx, q, tenantID, records)
	return records[0], err
}

// ListEmails lists a tenant's emails, newest first.
func (s *Store) ListEmails(
	ctx context.Context, tenantID string, f EmailFilter, after string, limit int,
) (items []EmailRecord, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	more := false
	err = s.inTenant(ctx, "list emails", tenantID, func(q *db.Queries) error {
		rows, err := q.ListEmailsAfter(ctx, db.ListEmailsAfterParams{
			TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1,
			Tag: optional(f.Tag), Recipient: optional(f.Recipient), Status: optional(f.Status),
		})
		if err != nil {
			return err
		}
		rows, more = page(rows, limit)
		for _, row := range rows {
			items = append(items, toEmailRecord(db.GetEmailRow(row)))
		}
		return addRecipients(ctx, q, tenantID, items)
	})
	if err != nil {
		return nil, "", err
	}
	if more {
		next = cursorOf(items[len(items)-1].ID)
	}
	return items, next, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func addRecipients(ctx context.Context, q *db.Queries, tenantID string, records []EmailRecord) error {
	at := make(map[uuid.UUID]int, len(records))
	ids := make([]uuid.UUID, len(records))
	for i, e := range records {
		at[e.ID], ids[i] = i, e.ID
	}
	rows, err := q.ListRecipients(ctx, tenantID, ids)
	for _, row := range rows {
		i := at[row.EmailID]
		records[i].Recipients = append(records[i].Recipients, toRecipientRecord(row))
	}
	if err != nil {
		return err
	}
	return addEngagements(ctx, q, tenantID, records)
}

func toRecipientRecord(row db.Recipient) RecipientRecord {
	return RecipientRecord{
		Recipient: toRecipient(row), Status: email.Status(row.Status), Attempts: int(row.Attempts),
		NextAttemptAt: row.NextAttemptAt, Reason: row.Reason, Detail: row.Detail, UpdatedAt: row.UpdatedAt,
	}
}

func toRecipient(row db.Recipient) email.Recipient {
	return email.Recipient{ID: row.ID, Kind: email.Kind(row.Kind), Address: address.Address{Name: row.Name, Addr: row.Address}}
}

func toEmailRecord(row db.GetEmailRow) EmailRecord {
	e := EmailRecord{
		ID: row.ID, From: address.Address{Name: row.FromName, Addr: row.FromAddress}, Subject: row.Subject,
		TemplateID: row.TemplateID, TemplateVersion: row.TemplateVersion, Tags: row.Tags, Metadata: row.Metadata,
		DispatchID: row.DispatchID, CreatedAt: row.CreatedAt,
		Class: email.Class(row.Class), ScheduledAt: row.ScheduledAt, ExpiresAt: row.ExpiresAt,
	}
	if row.ReleaseAt != nil && row.ReleaseAt.Before(never) {
		e.ReleaseAt = row.ReleaseAt
	}
	if row.RunID != nil {
		e.RunID = *row.RunID
	}
	return e
}

// Usage is where a tenant stands: today against its daily limit, and what still waits.
type Usage struct {
	Day         string // date in the tenant's time zone
	Standing    quota.Standing
	Held        int       // recipients that wait for a day with room
	Backlog     int       // recipients that are queued, being sent or deferred
	OldestSince time.Time // when the oldest of them was accepted; zero without any
}

// Usage gives where a tenant stands now.
func (s *Store) Usage(ctx context.Context, t tenant.Tenant, now time.Time) (u Usage, err error) {
	date, resetsAt := quota.Day(now, t.Settings.Location())
	u = Usage{Day: date, Standing: quota.Standing{Limit: t.Settings.DailyLimit, ResetsAt: resetsAt}}
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return u, translate("read day", err)
	}
	err = s.inTenant(ctx, "get usage", t.ID, func(q *db.Queries) error {
		used, err := q.GetDailyUsage(ctx, t.ID, day)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		u.Standing.Used = int(used)
		held, err := q.CountHeld(ctx, t.ID)
		if err != nil {
			return err
		}
		u.Held = int(held)
		backlog, err := q.GetBacklog(ctx, t.ID)
		u.Backlog = int(backlog.Recipients)
		if u.Backlog > 0 {
			u.OldestSince = backlog.Oldest
		}
		return err
	})
	return u, err
}
