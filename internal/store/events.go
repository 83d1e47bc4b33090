package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Event is a fact about a recipient, or about the tenant. It is appended by the statement
// that states the fact; its id is its place in the log.
type Event struct {
	ID   uuid.UUID
	Type event.Type
	At   time.Time

	// Of a recipient; nil for others.
	Email *EventEmail

	// Of the tenant's daily limit; nil for others.
	Quota *quota.Crossing

	// Of a webhook; nil for others.
	Webhook *EventWebhook

	// Of a sender domain; nil for others.
	Domain *EventDomain

	// Of the tenant itself; nil for others.
	Tenant *EventTenant
}

// EventTenant is what an event has of the tenant's suspension; nothing for its end.
type EventTenant struct {
	By     tenant.Suspender `json:"by"`
	Reason string           `json:"reason"`
	Drain  bool             `json:"drain"`
}

// EventWebhook is what an event has of a webhook.
type EventWebhook struct {
	WebhookID uuid.UUID `json:"webhookId"`
	Reason    string    `json:"reason"`
	Cursor    uuid.UUID `json:"cursor"` // every event up to this one was called or waited for another call
}

// EventQuery says which events of a tenant are asked for.
type EventQuery struct {
	Types     []string // none: all
	EmailID   *uuid.UUID
	Recipient string // exact address; empty: all
	After     uuid.UUID
	Limit     int
}

// EventEmail is what an event has of a recipient and its email.
type EventEmail struct {
	EmailID     uuid.UUID
	RecipientID uuid.UUID
	Recipient   string // address
	Kind        email.Kind
	Subject     string // as asked for
	Tags        []string
	TemplateID  *uuid.UUID
	Attempt     int // number of the attempt that it tells of; 0: of none
	Code        int // of the answer to that attempt; 0: there was none
	Enhanced    string
	Reply       string

	ScheduledAt   *time.Time `json:"scheduledAt"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`

	Hit *Hit // of an open or a click; nil for others
}

// ListEvents gives a tenant's events behind one, of some types or (without any) of all, the
// oldest first. None is ever added before one that was given: a reader that goes on behind
// the last misses nothing.
func (s *Store) ListEvents(ctx context.Context, tenantID string, types []string, after uuid.UUID, limit int) ([]Event, error) {
	return s.FindEvents(ctx, tenantID, EventQuery{Types: types, After: after, Limit: limit})
}

// FindEvents is ListEvents with all that can be asked for.
func (s *Store) FindEvents(ctx context.Context, tenantID string, ask EventQuery) (events []Event, err error) {
	err = s.inTenant(ctx, "list events", tenantID, func(q *db.Queries) error {
		rows, err := q.ListEventsAfter(ctx, db.ListEventsAfterParams{
			TenantID: tenantID, AfterID: ask.After, Types: append([]string{}, ask.Types...), // nil would be null
			EmailID: ask.EmailID, Recipient: optional(ask.Recipient), Count: int32(ask.Limit),
		})
		if err != nil {
			return err
		}
		events = make([]Event, len(rows))
		for i, row := range rows {
			if events[i], err = toEvent(row); err != nil {
				return err
			}
		}
		return nil
	})
	return events, err
}

// EventsHorizon is behind everything that has happened: a reader that goes on from here is
// told of what happens from now on.
func (s *Store) EventsHorizon(ctx context.Context) (uuid.UUID, error) {
	horizon, err := s.q.EventsHorizon(ctx)
	return horizon, translate("find horizon", err)
}

func toEvent(row db.ListEventsAfterRow) (Event, error) {
	e := Event{ID: row.ID, Type: event.Type(row.Type), At: row.CreatedAt}
	detail := row.Data
	if detail == nil {
		detail = json.RawMessage("{}")
	}
	if e.Type == event.WebhookDisabled {
		e.Webhook = &EventWebhook{}
		return e, json.Unmarshal(detail, e.Webhook)
	}
	if e.Type == event.DomainVerified || e.Type == event.DomainFailing || e.Type == event.DomainLost {
		e.Domain = &EventDomain{}
		return e, json.Unmarshal(detail, e.Domain)
	}
	if e.Type == event.TenantSuspended || e.Type == event.TenantResumed {
		e.Tenant = &EventTenant{}
		return e, json.Unmarshal(detail, e.Tenant)
	}
	if row.EmailID == nil || row.RecipientID == nil {
		e.Quota = &quota.Crossing{}
		return e, json.Unmarshal(detail, e.Quota)
	}
	e.Email = &EventEmail{
		EmailID: *row.EmailID, RecipientID: *row.RecipientID, Recipient: orZero(row.Address), Kind: email.Kind(orZero(row.Kind)),
		Subject: orZero(row.Subject), Tags: row.Tags, TemplateID: row.TemplateID, Attempt: int(orZero(row.Attempt)),
		Code: int(orZero(row.Code)), Enhanced: orZero(row.Enhanced), Reply: orZero(row.Reply),
	}
	if e.Type == event.EmailOpened || e.Type == event.EmailClicked {
		e.Email.Hit = &Hit{}
		return e, json.Unmarshal(detail, e.Email.Hit)
	}
	return e, json.Unmarshal(detail, e.Email)
}
