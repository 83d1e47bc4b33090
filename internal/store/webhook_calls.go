package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store/db"
)

// WebhookRef names a webhook.
type WebhookRef struct {
	TenantID string
	ID       uuid.UUID
}

// HaveWebhooks reports whether any webhook is enabled.
func (s *Store) HaveWebhooks(ctx context.Context) (bool, error) {
	have, err := s.q.HaveWebhooks(ctx)
	return have, translate("look for webhooks", err)
}

// WakeWebhooks gives webhooks that have something to do and that nobody is at, and claims
// them until an instant: by then somebody must be.
func (s *Store) WakeWebhooks(ctx context.Context, now, until time.Time, limit int) (due []WebhookRef, err error) {
	rows, err := s.q.WakeWebhooks(ctx, db.WakeWebhooksParams{Now: now, Until: until, Count: int32(limit)})
	for _, row := range rows {
		if row.Due {
			due = append(due, WebhookRef{TenantID: row.TenantID, ID: row.ID})
		}
	}
	return due, translate("wake webhooks", err)
}

// ClaimWebhook gives a webhook to a workflow that is at it until an instant, if it does not
// say before that it goes on; fault webhook_not_found.
func (s *Store) ClaimWebhook(ctx context.Context, w WebhookRef, until time.Time) (Webhook, error) {
	row, err := s.q.ClaimWebhook(ctx, db.ClaimWebhookParams{TenantID: w.TenantID, ID: w.ID, Until: until})
	return toWebhook(row), noWebhook(err)
}

// WebhookJob is a call to be made.
type WebhookJob struct {
	Event   Event
	Attempt int  // its number, from 1
	Again   bool // it waited in the list of retries
}

// WebhookJobs are the next calls of a webhook: those that are due again, then the events behind
// its cursor, in order. reached is as far as these go: where there are fewer than limit, that
// is behind everything that has happened.
func (s *Store) WebhookJobs(ctx context.Context, w Webhook, now time.Time, limit int) (jobs []WebhookJob, reached uuid.UUID, err error) {
	again, err := s.q.ListDueRetries(ctx, db.ListDueRetriesParams{TenantID: w.TenantID, WebhookID: w.ID, Now: now, Count: int32(limit)})
	if err != nil {
		return nil, w.Cursor, translate("list due retries", err)
	}
	for _, row := range again {
		e, err := toEvent(retryEvent(row))
		if err != nil {
			return nil, w.Cursor, translate("read event", err)
		}
		jobs = append(jobs, WebhookJob{Event: e, Attempt: int(row.Attempts) + 1, Again: true})
	}
	horizon, err := s.q.EventsHorizon(ctx)
	if err != nil {
		return nil, w.Cursor, translate("find horizon", err)
	}
	rows, err := s.q.ListWebhookEvents(ctx, db.ListWebhookEventsParams{
		TenantID: w.TenantID, AfterID: w.Cursor, Horizon: horizon, Events: w.Events, Count: int32(limit),
	})
	if err != nil {
		return nil, w.Cursor, translate("list webhook events", err)
	}
	for _, row := range rows {
		e, err := toEvent(db.ListEventsAfterRow(row))
		if err != nil {
			return nil, w.Cursor, translate("read event", err)
		}
		jobs = append(jobs, WebhookJob{Event: e, Attempt: 1})
	}
	if len(rows) == limit {
		return jobs, rows[limit-1].ID, nil
	}
	return jobs, horizon, nil
}

func retryEvent(row db.ListDueRetriesRow) db.ListEventsAfterRow {
	return db.ListEventsAfterRow{
		ID: row.ID, Type: row.Type, EmailID: row.EmailID, RecipientID: row.RecipientID, Attempt: row.Attempt, Data: row.Data,
		CreatedAt: row.CreatedAt, Subject: row.Subject, Tags: row.Tags, TemplateID: row.TemplateID, Kind: row.Kind, Address: row.Address,
		Code: row.Code, Enhanced: row.Enhanced, Reply: row.Reply,
	}
}

// WebhookCalls is what became of calls of a webhook, and how it stands after them.
type WebhookCalls struct {
	Calls        []WebhookDelivery
	Cursor       uuid.UUID
	Failures     int
	FailingSince *time.Time
}

// WriteWebhookCalls writes what became of calls: each in the log, and those that are made
// again where they are found.
func (s *Store) WriteWebhookCalls(ctx context.Context, w WebhookRef, c WebhookCalls) error {
	p := db.WriteWebhookCallsParams{
		TenantID: w.TenantID, WebhookID: w.ID, Cursor: c.Cursor, Failures: int32(c.Failures), FailingSince: c.FailingSince,
		Ids: []uuid.UUID{}, EventIds: []uuid.UUID{}, EventTypes: []string{}, Attempts: []int32{}, Started: []time.Time{}, Durations: []int32{},
		StatusCodes: []int32{}, Responses: []string{}, Errors: []string{}, NextAt: []time.Time{},
	}
	for _, call := range c.Calls {
		next := time.Unix(0, 0) // stands for null
		if call.NextAt != nil {
			next = *call.NextAt
		}
		p.Ids, p.EventIds, p.EventTypes = append(p.Ids, id.New()), append(p.EventIds, call.EventID), append(p.EventTypes, call.EventType)
		p.Attempts, p.Started = append(p.Attempts, int32(call.Attempt)), append(p.Started, call.StartedAt)
		p.Durations, p.StatusCodes = append(p.Durations, int32(call.Duration.Milliseconds())), append(p.StatusCodes, int32(call.Status))
		p.Responses, p.Errors, p.NextAt = append(p.Responses, call.Response), append(p.Errors, call.Error), append(p.NextAt, next)
	}
	return translate("write webhook calls", s.q.WriteWebhookCalls(ctx, p))
}

// DisableFailingWebhook disables a webhook that is enabled, and says so in the log of events.
func (s *Store) DisableFailingWebhook(ctx context.Context, w WebhookRef, reason string, now time.Time) error {
	return s.inSystem(ctx, "disable webhook", func(q *db.Queries) error {
		row, err := q.LockWebhook(ctx, w.TenantID, w.ID)
		if fault.KindOf(translate("find webhook", err)) == fault.NotFound || (err == nil && !row.Enabled) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := json.Marshal(EventWebhook{WebhookID: row.ID, Reason: reason, Cursor: row.Cursor})
		if err != nil {
			return err
		}
		if err := q.InsertWebhookDisabled(ctx, db.InsertWebhookDisabledParams{TenantID: w.TenantID, Data: data, Now: now}); err != nil {
			return err
		}
		_, err = disable(ctx, q, row, reason, now)
		return err
	})
}

// WebhookStanding says how many calls of a webhook wait to be made again, and when the next is.
func (s *Store) WebhookStanding(ctx context.Context, w WebhookRef) (waiting int, next time.Time, err error) {
	row, err := s.q.WebhookStanding(ctx, w.TenantID, w.ID)
	if err != nil {
		return 0, time.Time{}, translate("look at retries", err)
	}
	if row.Waiting == 0 {
		return 0, time.Time{}, nil
	}
	return int(row.Waiting), row.NextAt, nil
}

// RestWebhook says that nobody is at a webhook any more, and that until an instant nobody need be.
func (s *Store) RestWebhook(ctx context.Context, w WebhookRef, until time.Time) error {
	return translate("rest webhook", s.q.RestWebhook(ctx, db.RestWebhookParams{TenantID: w.TenantID, ID: w.ID, Until: until}))
}

// ForgetWebhookDeliveries deletes what is old in the logs of calls, so many rows at the most.
func (s *Store) ForgetWebhookDeliveries(ctx context.Context, before time.Time, limit int) (int64, error) {
	n, err := s.q.ForgetWebhookDeliveries(ctx, before, int32(limit))
	return n, translate("forget webhook deliveries", err)
}
