package store

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store/db"
)

// Release gives up to limit emails that waited for a time that has come, in the order of
// those times. Each is given once, to one process.
func (s *Store) Release(ctx context.Context, now time.Time, limit int) ([]intake.Pending, error) {
	rows, err := s.q.ReleaseEmails(ctx, now, int32(limit))
	if err != nil {
		return nil, translate("release emails", err)
	}
	released := make([]intake.Pending, len(rows))
	for i, row := range rows {
		released[i] = intake.Pending{
			TenantID: row.TenantID, EmailID: row.ID, Class: email.Class(row.Class), Weight: row.Weight, TraceParent: row.TraceParent,
		}
	}
	return released, nil
}

// Cancel ends every recipient of an email that is neither under way nor final, and gives
// back what was reserved for those that were never tried. It says which dispatch carries
// the email, if one does. Fault nothing_to_cancel when no recipient could be ended.
func (s *Store) Cancel(ctx context.Context, tenantID string, emailID uuid.UUID, now time.Time) (dispatch *uuid.UUID, err error) {
	err = s.changeWaiting(ctx, "cancel email", tenantID, emailID, now, func(w *waiting) error {
		dispatch = w.email.DispatchID
		attempts, err := w.q.CancelRecipients(ctx, db.CancelRecipientsParams{Now: now, TenantID: tenantID, EmailID: emailID})
		if err != nil {
			return err
		}
		if len(attempts) == 0 {
			return fault.New(fault.Conflict, "nothing_to_cancel", "No recipient of the email can be cancelled any more.")
		}
		untried := 0
		for _, n := range attempts {
			if n == 0 {
				untried++
			}
		}
		w.calendar.Return(w.email.UsageDay.Format(time.DateOnly), untried)
		return w.q.StopEmail(ctx, tenantID, emailID)
	})
	return dispatch, err
}

// Reschedule moves an email that is scheduled, or held, to another time, and with it what
// is reserved for it. Faults email_not_scheduled and daily_limit_reached.
func (s *Store) Reschedule(
	ctx context.Context, tenantID string, emailID uuid.UUID, at, now time.Time, conditions ...Condition[EmailRecord],
) error {
	return s.changeWaiting(ctx, "reschedule email", tenantID, emailID, now, func(w *waiting) error {
		current, err := getEmail(ctx, w.q, tenantID, emailID)
		if err != nil {
			return err
		}
		if err := checkAll(conditions, current); err != nil {
			return err
		}
		recipients := current.Recipients
		for _, r := range recipients {
			if r.Status != email.Scheduled && r.Status != email.Held {
				return fault.New(fault.Conflict, "email_not_scheduled", "The email is not scheduled any more.")
			}
		}
		w.calendar.Return(w.email.UsageDay.Format(time.DateOnly), len(recipients))
		e := email.Email{ScheduledAt: at, Recipients: make([]email.Recipient, len(recipients))}
		if w.email.ExpiresAt != nil {
			e.ExpiresAt = *w.email.ExpiresAt
		}
		receipt := w.take(e, now)
		if receipt.Err != nil {
			return receipt.Err
		}
		release := receipt.ReleaseAt
		if release.IsZero() {
			release = now // the next release takes it
			receipt.Status = email.Scheduled
		}
		if err := w.q.RescheduleRecipients(ctx, db.RescheduleRecipientsParams{
			Status: string(receipt.Status), Now: now, TenantID: tenantID, EmailID: emailID, ScheduledAt: at,
		}); err != nil {
			return err
		}
		return w.q.SetEmailRelease(ctx, db.SetEmailReleaseParams{
			ScheduledAt: &at, Held: receipt.Status == email.Held, ReleaseAt: &release, UsageDay: date(receipt.Day), TenantID: tenantID, ID: emailID,
		})
	})
}

// Retry queues every recipient that is deferred, failed, expired, or held because its
// outcome is unknown, and gives the email to a new dispatch. Faults nothing_to_retry and,
// since the new dispatch would take a hand-over that is under way for cut off, email_being_sent.
func (s *Store) Retry(
	ctx context.Context, tenantID string, emailID uuid.UUID, now time.Time,
) (p intake.Pending, before *uuid.UUID, err error) {
	err = s.changeWaiting(ctx, "retry email", tenantID, emailID, now, func(w *waiting) error {
		n, err := w.q.RetryRecipients(ctx, db.RetryRecipientsParams{Now: now, TenantID: tenantID, EmailID: emailID})
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "nothing_to_retry", "No recipient of the email is deferred, failed, expired or unknown.")
		}
		if err := w.q.TouchQueuedRecipients(ctx, db.TouchQueuedRecipientsParams{Now: now, TenantID: tenantID, EmailID: emailID}); err != nil {
			return err
		}
		if sending, err := w.q.IsBeingSent(ctx, tenantID, emailID); err != nil || sending {
			return cmp.Or(err, beingSent())
		}
		before = w.email.DispatchID
		p = intake.Pending{
			TenantID: tenantID, EmailID: emailID, Class: email.Class(w.email.Class), Weight: w.settings.FairShare(),
			TraceParent: w.email.TraceParent,
		}
		return w.q.DetachEmail(ctx, db.DetachEmailParams{Now: &now, TenantID: tenantID, ID: emailID})
	})
	return p, before, err
}

func beingSent() error {
	f := fault.New(fault.Conflict, "email_being_sent", "A recipient of the email is just being sent to; try again in a moment.")
	f.RetryAfter = time.Second
	return f
}

// waiting is an email that is changed while it waits, under the locks that accepting takes.
type waiting struct {
	*sender
	q     *db.Queries
	email db.Email
}

// changeWaiting runs change on an email of the tenant; fault email_not_found.
func (s *Store) changeWaiting(
	ctx context.Context, operation, tenantID string, emailID uuid.UUID, now time.Time, change func(*waiting) error,
) error {
	return s.asSender(ctx, operation, tenantID, now, func(q *db.Queries, sd *sender) error {
		locked, err := q.LockEmail(ctx, tenantID, emailID)
		if err != nil {
			return notFound(translate("lock email", err), "email_not_found", "There is no such email.")
		}
		return change(&waiting{sender: sd, q: q, email: locked})
	})
}

// Rehold finds new days for the mail that a tenant has held, in order, after its limit, its
// time zone or its rule for mail over the limit was changed. It gives the bulk sends that have
// lines among it: their workflows know only the times that were.
func (s *Store) Rehold(ctx context.Context, tenantID string, now time.Time) (bulkSends []uuid.UUID, err error) {
	err = s.asSender(ctx, "rehold emails", tenantID, now, func(q *db.Queries, sd *sender) error {
		held, err := q.ListHeldEmails(ctx, tenantID)
		if err != nil {
			return err
		}
		for _, e := range held {
			sd.calendar.Return(e.UsageDay.Format(time.DateOnly), int(e.Recipients))
		}
		var p db.SetHeldEmailsParams
		for _, e := range held {
			at := now
			if e.ScheduledAt != nil && e.ScheduledAt.After(now) {
				at = *e.ScheduledAt
			}
			day, opens := sd.rehold(int(e.Recipients), at)
			if e.ExpiresAt != nil && e.ExpiresAt.Before(opens) { // released then, it is found expired
				sd.calendar.Return(day, int(e.Recipients))
				day, opens = never.Format(time.DateOnly), *e.ExpiresAt
			}
			p.Ids, p.Days, p.ReleaseAt = append(p.Ids, e.ID), append(p.Days, date(day)), append(p.ReleaseAt, opens)
		}
		p.TenantID = tenantID
		if err := q.SetHeldEmails(ctx, p); err != nil {
			return err
		}
		bulkSends, err = sd.reholdChunks(ctx, q, tenantID, now)
		return err
	})
	return bulkSends, err
}

// never is when mail is released that no day has room for: a changed limit finds it a day.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// rehold finds a day for n recipients that are accepted already: that of the instant at
// which they are to be sent, where the limit allows it, else the first later one with room.
func (s *sender) rehold(n int, at time.Time) (day string, opens time.Time) {
	if day, ok := s.calendar.Reserve(n, at); ok {
		return day, at
	}
	if day, opens, ok := s.calendar.Defer(n, at); ok {
		return day, opens
	}
	return never.Format(time.DateOnly), never
}
