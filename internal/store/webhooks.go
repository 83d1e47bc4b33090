package store

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// maxWebhooks is how many webhooks a tenant may have.
const maxWebhooks = 20

// Why a webhook is disabled.
const (
	DisabledByRequest = "request"
	DisabledGone      = "gone"    // its endpoint answered 410
	DisabledFailing   = "failing" // every call failed for days
)

// Webhook is an endpoint that is told of a tenant's events.
type Webhook struct {
	TenantID string
	ID       uuid.UUID
	URL      string
	Events   []string // types, groups of them ("email.*"), or "*"

	Enabled        bool
	DisabledReason string
	DisabledAt     *time.Time

	Secret        []byte // sealed
	OldSecret     []byte // sealed; nil: there is none
	OldSecretEnds *time.Time

	Cursor       uuid.UUID // every event up to here is dealt with, or waits for another call
	QuietUntil   time.Time // until then it is left alone
	Failures     int       // calls that failed since the last good one
	FailingSince *time.Time

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Sealed are the secrets that calls are signed with, the newest first.
func (w Webhook) Sealed(now time.Time) [][]byte {
	if w.OldSecret == nil || !now.Before(*w.OldSecretEnds) {
		return [][]byte{w.Secret}
	}
	return [][]byte{w.Secret, w.OldSecret}
}

// CreateWebhook stores a webhook, which is told of what happens from now on; fault
// too_many_webhooks.
func (s *Store) CreateWebhook(ctx context.Context, w Webhook, keep ...Keep[Webhook]) (created Webhook, err error) {
	err = s.inTenant(ctx, "create webhook", w.TenantID, func(q *db.Queries) error {
		if err := q.LockTenantWebhooks(ctx, w.TenantID); err != nil {
			return err
		}
		n, err := q.CountWebhooks(ctx, w.TenantID)
		if err != nil {
			return err
		}
		if n >= maxWebhooks {
			return fault.New(fault.Conflict, "too_many_webhooks", "A tenant has at most %d webhooks.", maxWebhooks)
		}
		now := time.Now()
		params := db.InsertWebhookParams{
			TenantID: w.TenantID, ID: w.ID, Url: w.URL, Events: w.Events, Enabled: w.Enabled, Secret: w.Secret, Now: now,
		}
		if !w.Enabled {
			reason := DisabledByRequest
			params.DisabledReason, params.DisabledAt = &reason, &now
		}
		row, err := q.InsertWebhook(ctx, params)
		if err != nil {
			return err
		}
		created = toWebhook(row)
		if err := keepAll(ctx, q, created, keep); err != nil {
			return err
		}
		return recordWebhook(ctx, q, audit.WebhookCreate, nil, &created)
	})
	return created, err
}

// Webhook gives a tenant's webhook; fault webhook_not_found.
func (s *Store) Webhook(ctx context.Context, tenantID string, webhookID uuid.UUID) (w Webhook, err error) {
	err = s.inTenant(ctx, "get webhook", tenantID, func(q *db.Queries) error {
		row, err := q.GetWebhook(ctx, tenantID, webhookID)
		w = toWebhook(row)
		return noWebhook(err)
	})
	return w, err
}

// ListWebhooks lists a tenant's webhooks, newest first.
func (s *Store) ListWebhooks(ctx context.Context, tenantID, after string, limit int) (items []Webhook, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	err = s.inTenant(ctx, "list webhooks", tenantID, func(q *db.Queries) error {
		rows, err := q.ListWebhooks(ctx, db.ListWebhooksParams{TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1})
		if err != nil {
			return err
		}
		rows, more := page(rows, limit)
		for _, row := range rows {
			items = append(items, toWebhook(row))
		}
		if more {
			next = cursorOf(rows[len(rows)-1].ID)
		}
		return nil
	})
	return items, next, err
}

// UpdateWebhook changes URL, events and whether it is enabled, by what change makes of them;
// fault webhook_not_found. One that is disabled waits for nothing any more, and one that is
// enabled is told of what happens from then on.
func (s *Store) UpdateWebhook(
	ctx context.Context, tenantID string, webhookID uuid.UUID, change func(*Webhook) error,
) (w Webhook, err error) {
	err = s.inTenant(ctx, "update webhook", tenantID, func(q *db.Queries) error {
		row, err := q.LockWebhook(ctx, tenantID, webhookID)
		if err != nil {
			return noWebhook(err)
		}
		before := toWebhook(row)
		w = toWebhook(row)
		if err := change(&w); err != nil {
			return err
		}
		now := time.Now()
		enable := w.Enabled
		if w.URL != row.Url || !slices.Equal(w.Events, row.Events) {
			row, err = q.UpdateWebhook(ctx, db.UpdateWebhookParams{TenantID: tenantID, ID: webhookID, Url: w.URL, Events: w.Events, Now: now})
		}
		if err == nil && enable && !row.Enabled {
			row, err = q.EnableWebhook(ctx, db.EnableWebhookParams{TenantID: tenantID, ID: webhookID, Now: now})
		}
		if err == nil && !enable && row.Enabled {
			row, err = disable(ctx, q, row, DisabledByRequest, now)
		}
		if err != nil {
			return err
		}
		w = toWebhook(row)
		return recordWebhook(ctx, q, audit.WebhookUpdate, &before, &w)
	})
	return w, err
}

func disable(ctx context.Context, q *db.Queries, w db.Webhook, reason string, now time.Time) (db.Webhook, error) {
	if err := q.DeleteWebhookRetries(ctx, w.TenantID, w.ID); err != nil {
		return w, err
	}
	return q.DisableWebhook(ctx, db.DisableWebhookParams{TenantID: w.TenantID, ID: w.ID, Reason: reason, Now: now})
}

// DeleteWebhook removes a webhook and what waits for it; fault webhook_not_found.
func (s *Store) DeleteWebhook(ctx context.Context, tenantID string, webhookID uuid.UUID, conditions ...Condition[Webhook]) error {
	return s.inTenant(ctx, "delete webhook", tenantID, func(q *db.Queries) error {
		row, err := q.LockWebhook(ctx, tenantID, webhookID)
		if err != nil {
			return noWebhook(err)
		}
		before := toWebhook(row)
		if err := checkAll(conditions, before); err != nil {
			return err
		}
		if _, err := q.DeleteWebhook(ctx, tenantID, webhookID); err != nil {
			return err
		}
		return recordWebhook(ctx, q, audit.WebhookDelete, &before, nil)
	})
}

// SecretRotation replaces a webhook's secret.
type SecretRotation struct {
	WebhookID uuid.UUID
	Sealed    []byte    // the new one
	OldEnds   time.Time // until then, calls are signed with the one before too
	Keep      []Keep[Webhook]
}

// RotateWebhookSecret replaces the secret of a webhook; fault webhook_not_found.
func (s *Store) RotateWebhookSecret(
	ctx context.Context, tenantID string, r SecretRotation, conditions ...Condition[Webhook],
) (w Webhook, err error) {
	err = s.inTenant(ctx, "rotate webhook secret", tenantID, func(q *db.Queries) error {
		row, err := q.LockWebhook(ctx, tenantID, r.WebhookID)
		if err != nil {
			return noWebhook(err)
		}
		before := toWebhook(row)
		if err := checkAll(conditions, before); err != nil {
			return err
		}
		now := time.Now()
		params := db.RotateWebhookSecretParams{TenantID: tenantID, ID: r.WebhookID, Secret: r.Sealed, Now: now}
		if r.OldEnds.After(now) {
			params.OldSecret, params.OldSecretEnds = row.Secret, &r.OldEnds
		}
		if row, err = q.RotateWebhookSecret(ctx, params); err != nil {
			return err
		}
		w = toWebhook(row)
		if err := keepAll(ctx, q, w, r.Keep); err != nil {
			return err
		}
		return recordWebhook(ctx, q, audit.WebhookRotateSecret, &before, &w)
	})
	return w, err
}

func noWebhook(err error) error {
	return notFound(translate("find webhook", err), "webhook_not_found", "There is no such webhook.")
}

func toWebhook(row db.Webhook) Webhook {
	return Webhook{
		TenantID: row.TenantID, ID: row.ID, URL: row.Url, Events: row.Events,
		Enabled: row.Enabled, DisabledReason: orZero(row.DisabledReason), DisabledAt: row.DisabledAt,
		Secret: row.Secret, OldSecret: row.OldSecret, OldSecretEnds: row.OldSecretEnds,
		Cursor: row.Cursor, QuietUntil: row.QuietUntil, Failures: int(row.Failures), FailingSince: row.FailingSince,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// Replay says which events a webhook is to be told of again: these, or those behind After
// and not behind Until.
type Replay struct {
	IDs          []uuid.UUID
	After, Until uuid.UUID
	Limit        int
}

// Replayed says how many events are called again. Last is the last of a range that has more; nil: it has not.
type Replayed struct {
	Events int
	Last   *uuid.UUID
	IDs    []uuid.UUID // of those that were named
}

// checkFound refuses a replay of events that do not exist.
func (r Replay) checkFound(found []uuid.UUID) error {
	var missing []fault.Field
	for i, eventID := range r.IDs {
		if !slices.Contains(found, eventID) {
			missing = append(missing, fault.Field{
				Location: "body.eventIds[" + strconv.Itoa(i) + "]", Code: "event_not_found", Message: "there is no such event",
			})
		}
	}
	if missing == nil {
		return nil
	}
	return fault.InvalidFields(missing...)
}

// ReplayWebhook has a webhook told of events again, beside what it is told of anyway; faults
// webhook_not_found and webhook_disabled.
func (s *Store) ReplayWebhook(
	ctx context.Context, tenantID string, webhookID uuid.UUID, r Replay, keep ...Keep[Replayed],
) (done Replayed, err error) {
	err = s.inTenant(ctx, "replay webhook", tenantID, func(q *db.Queries) error {
		row, err := q.LockWebhook(ctx, tenantID, webhookID)
		if err != nil {
			return noWebhook(err)
		}
		if !row.Enabled {
			return fault.New(fault.Conflict, "webhook_disabled", "The webhook is disabled. Enable it first.")
		}
		now := time.Now()
		if r.IDs != nil {
			done.IDs, err = q.ReplayEvents(ctx, db.ReplayEventsParams{TenantID: tenantID, WebhookID: webhookID, Ids: r.IDs, Now: now})
			if done.Events = len(done.IDs); err == nil {
				err = r.checkFound(done.IDs)
			}
		} else {
			done, err = replayRange(ctx, q, tenantID, webhookID, r, now)
		}
		if err != nil {
			return err
		}
		return keepAll(ctx, q, done, keep)
	})
	return done, err
}

func replayRange(
	ctx context.Context, q *db.Queries, tenantID string, webhookID uuid.UUID, r Replay, now time.Time,
) (done Replayed, err error) {
	row, err := q.ReplayRange(ctx, db.ReplayRangeParams{
		TenantID: tenantID, WebhookID: webhookID, AfterID: r.After, UntilID: r.Until, Count: int32(r.Limit), Now: now,
	})
	done.Events = int(row.Events)
	if done.Events == r.Limit {
		done.Last = &row.Last
	}
	return done, err
}

// ListWebhookDeliveries lists the log of a webhook's calls, newest first; fault webhook_not_found.
func (s *Store) ListWebhookDeliveries(
	ctx context.Context, tenantID string, webhookID uuid.UUID, ask DeliveryQuery,
) (items []WebhookDelivery, next string, err error) {
	cursor, err := idCursor(ask.After)
	if err != nil {
		return nil, "", err
	}
	err = s.inTenant(ctx, "list webhook deliveries", tenantID, func(q *db.Queries) error {
		if _, err := q.GetWebhook(ctx, tenantID, webhookID); err != nil {
			return noWebhook(err)
		}
		rows, err := q.ListWebhookDeliveries(ctx, db.ListWebhookDeliveriesParams{
			TenantID: tenantID, WebhookID: webhookID, AfterID: cursor, EventID: ask.EventID, Failed: ask.Failed, Count: int32(ask.Limit) + 1,
		})
		if err != nil {
			return err
		}
		rows, more := page(rows, ask.Limit)
		for _, row := range rows {
			items = append(items, toDelivery(row))
		}
		if more {
			next = cursorOf(rows[len(rows)-1].ID)
		}
		return nil
	})
	return items, next, err
}

// DeliveryQuery says which calls of a webhook are asked for.
type DeliveryQuery struct {
	EventID *uuid.UUID // nil: of all events
	Failed  bool       // only those that failed
	After   string
	Limit   int
}

// WebhookDelivery is a call of a webhook in its log.
type WebhookDelivery struct {
	ID        uuid.UUID
	EventID   uuid.UUID
	EventType string
	Attempt   int // number of the call for the event, from 1
	StartedAt time.Time
	Duration  time.Duration
	Status    int    // of HTTP; 0: there was no answer
	Response  string // how the answer begins
	Error     string // why it failed, in a word; empty: it did not
	NextAt    *time.Time
}

func toDelivery(row db.WebhookDelivery) WebhookDelivery {
	return WebhookDelivery{
		ID: row.ID, EventID: row.EventID, EventType: row.EventType, Attempt: int(row.Attempt), StartedAt: row.StartedAt,
		Duration: time.Duration(row.DurationMs) * time.Millisecond, Status: int(orZero(row.StatusCode)),
		Response: row.Response, Error: row.Error, NextAt: row.NextAt,
	}
}
