package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// BulkStep is what TakeChunk did, and where the bulk send stands after it.
type BulkStep struct {
	Status   BulkStatus
	Stopped  bool            // its tenant is suspended, so nothing was taken
	Dispatch *email.Dispatch // made of the chunk; nil: none was taken
	Open     int             // recipients that were queued or being sent before it
	Left     int             // lines that are no emails yet
	NextAt   time.Time       // when the next chunk's time comes; zero: it need not wait for one
}

// TakeChunk makes emails and a dispatch of the next chunk of a bulk send, while fewer than
// window recipients of it are queued or being sent. A chunk is taken once: whoever takes
// one holds the bulk send's row, and what is taken is marked in the same transaction. With
// the last one the bulk send is completed.
func (s *Store) TakeChunk(ctx context.Context, tenantID string, bulkID uuid.UUID, window int, now time.Time) (step BulkStep, err error) {
	err = s.inSystem(ctx, "take chunk", func(q *db.Queries) error {
		t := taker{q: q, tenantID: tenantID, bulkID: bulkID, window: window, now: now}
		step, err = t.take(ctx)
		return err
	})
	return step, err
}

type taker struct {
	q        *db.Queries
	tenantID string
	bulkID   uuid.UUID
	window   int
	now      time.Time
}

func (t *taker) take(ctx context.Context) (step BulkStep, err error) {
	row, err := t.q.LockBulkSend(ctx, t.tenantID, t.bulkID)
	if err != nil {
		return step, noBulkSend(translate("lock bulk send", err))
	}
	step.Status = BulkStatus(row.Status)
	if step.Status != BulkRunning {
		return step, t.left(ctx, &step)
	}
	sender, err := t.q.GetTenantWeight(ctx, t.tenantID)
	if err != nil {
		return step, err
	}
	if step.Stopped = !tenant.GoesOut(tenant.Status(sender.Status)); step.Stopped {
		return step, t.left(ctx, &step)
	}
	open, err := t.q.CountOpenRecipients(ctx, t.tenantID, t.bulkID)
	step.Open = int(open)
	if err != nil || step.Open >= t.window {
		return step, errors.Join(err, t.left(ctx, &step))
	}
	chunk, err := t.q.LockDueChunk(ctx, db.LockDueChunkParams{TenantID: t.tenantID, BulkSendID: t.bulkID, Now: t.now})
	switch {
	case err == nil:
		if step.Dispatch, err = t.dispatch(ctx, chunk, email.Class(row.Class)); err != nil {
			return step, err
		}
		step.Dispatch.Weight = sender.Weight
	case !errors.Is(err, pgx.ErrNoRows):
		return step, err
	}
	return step, t.left(ctx, &step)
}

// left counts what is not taken, and completes the bulk send when that is nothing.
func (t *taker) left(ctx context.Context, step *BulkStep) error {
	waiting, err := t.q.GetWaitingChunks(ctx, t.tenantID, t.bulkID)
	if err != nil {
		return err
	}
	step.Left = int(waiting.Lines)
	if waiting.NextAt.After(t.now) {
		step.NextAt = waiting.NextAt
	}
	if step.Left > 0 || step.Status != BulkRunning {
		return nil
	}
	step.Status = BulkCompleted
	return t.q.SetBulkSendStatus(ctx, db.SetBulkSendStatusParams{
		Status: string(BulkCompleted), Now: t.now, FinishedAt: &t.now, TenantID: t.tenantID, ID: t.bulkID,
	})
}

// dispatch makes emails of a chunk's lines, and a dispatch of the emails.
func (t *taker) dispatch(ctx context.Context, chunk db.BulkSendChunk, class email.Class) (*email.Dispatch, error) {
	rows, err := t.q.ListBulkShared(ctx, t.tenantID, []uuid.UUID{t.bulkID})
	if err != nil {
		return nil, err
	}
	shared, err := readShared(rows[0].Shared)
	if err != nil {
		return nil, err
	}
	lines, err := unpackLines(chunk.Content)
	if err != nil {
		return nil, fmt.Errorf("unpack chunk %d of bulk send %s: %w", chunk.Number, t.bulkID, err)
	}
	p := db.WriteGroupParams{CreatedAt: t.now}
	receipt := intake.Receipt{Status: email.Queued, Day: chunk.UsageDay.Format(time.DateOnly)}
	for _, line := range lines[chunk.Skip : chunk.Skip+chunk.Lines] {
		if err := addEmail(&p, line.email(shared), receipt); err != nil {
			return nil, err
		}
	}
	if err := t.q.WriteGroup(ctx, p); err != nil {
		return nil, err
	}
	d := &email.Dispatch{TenantID: t.tenantID, ID: id.New(), Class: class, Emails: len(p.Ids), BulkSendID: &t.bulkID}
	if err := t.q.ClaimBulkEmails(ctx, db.ClaimBulkEmailsParams{
		DispatchID: &d.ID, BulkSendID: &t.bulkID, TenantID: t.tenantID, Ids: p.Ids,
	}); err != nil {
		return nil, err
	}
	if err := t.q.InsertDispatch(ctx, db.InsertDispatchParams{
		TenantID: t.tenantID, ID: d.ID, Class: string(class), Emails: int32(len(p.Ids)), BulkSendID: &t.bulkID,
	}); err != nil {
		return nil, err
	}
	return d, t.q.TakeChunk(ctx, db.TakeChunkParams{
		TakenAt: &t.now, DispatchID: &d.ID, Rest: p.RecipientIds, TenantID: t.tenantID, BulkSendID: t.bulkID, Number: chunk.Number,
	})
}

// PauseBulkSend has no more of a bulk send queued; fault bulk_send_not_running.
func (s *Store) PauseBulkSend(ctx context.Context, tenantID string, bulkID uuid.UUID, now time.Time) error {
	return s.turnBulkSend(ctx, tenantID, bulkID, BulkRunning, BulkPaused, now,
		fault.New(fault.Conflict, "bulk_send_not_running", "Only a bulk send that is running can be paused."))
}

// ResumeBulkSend goes on with a bulk send; fault bulk_send_not_paused.
func (s *Store) ResumeBulkSend(ctx context.Context, tenantID string, bulkID uuid.UUID, now time.Time) error {
	return s.turnBulkSend(ctx, tenantID, bulkID, BulkPaused, BulkRunning, now,
		fault.New(fault.Conflict, "bulk_send_not_paused", "Only a bulk send that is paused can be resumed."))
}

func (s *Store) turnBulkSend(
	ctx context.Context, tenantID string, bulkID uuid.UUID, from, to BulkStatus, now time.Time, refusal error,
) error {
	return s.inSystem(ctx, "turn bulk send", func(q *db.Queries) error {
		row, err := q.LockBulkSend(ctx, tenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("lock bulk send", err))
		}
		if BulkStatus(row.Status) != from {
			return refusal
		}
		return q.SetBulkSendStatus(ctx, db.SetBulkSendStatusParams{Status: string(to), Now: now, TenantID: tenantID, ID: bulkID})
	})
}

// CancelBulkSend ends a bulk send, or an upload: its chunks that are not
// taken, and every recipient that is neither under way nor final. What was never tried is
// given back to its day. It gives the dispatches that carry what was cancelled. Fault
// nothing_to_cancel.
func (s *Store) CancelBulkSend(ctx context.Context, tenantID string, bulkID uuid.UUID, now time.Time) (dispatches []uuid.UUID, err error) {
	err = s.asSender(ctx, "cancel bulk send", tenantID, now, func(q *db.Queries, sd *sender) error {
		row, err := q.LockBulkSend(ctx, tenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("lock bulk send", err))
		}
		var ended bool
		if dispatches, ended, err = sd.cancelBulk(ctx, q, tenantID, bulkID, now); err != nil {
			return err
		}
		status := BulkStatus(row.Status)
		if status == BulkCancelled || (status == BulkCompleted && !ended) {
			return fault.New(fault.Conflict, "nothing_to_cancel", "Nothing of the bulk send can be cancelled any more.")
		}
		return q.SetBulkSendStatus(ctx, db.SetBulkSendStatusParams{
			Status: string(BulkCancelled), Now: now, FinishedAt: &now, TenantID: tenantID, ID: bulkID,
		})
	})
	return dispatches, err
}

func (s *sender) cancelBulk(
	ctx context.Context, q *db.Queries, tenantID string, bulkID uuid.UUID, now time.Time,
) (dispatches []uuid.UUID, ended bool, err error) {
	chunks, err := q.CancelChunks(ctx, db.CancelChunksParams{Now: now, TenantID: tenantID, BulkSendID: bulkID})
	if err != nil {
		return nil, false, err
	}
	for _, row := range chunks {
		s.calendar.Return(row.UsageDay.Format(time.DateOnly), int(row.Lines))
	}
	recipients, err := q.CancelBulkRecipients(ctx, db.CancelBulkRecipientsParams{Now: now, TenantID: tenantID, BulkSendID: bulkID})
	for _, row := range recipients {
		s.calendar.Return(row.UsageDay.Format(time.DateOnly), int(row.Untried))
		if row.DispatchID != nil {
			dispatches = append(dispatches, *row.DispatchID)
		}
	}
	return dispatches, len(chunks)+len(recipients) > 0, err
}

// reholdChunks finds new days for chunks that are held, as Rehold does for emails; a chunk
// that has no room on one day is split.
func (s *sender) reholdChunks(ctx context.Context, q *db.Queries, tenantID string, now time.Time) ([]uuid.UUID, error) {
	bulkSends, err := q.LockHeldBulkSends(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	held, err := q.ListHeldChunks(ctx, tenantID, now)
	if err != nil {
		return nil, err
	}
	for _, c := range held {
		s.calendar.Return(c.UsageDay.Format(time.DateOnly), int(c.Lines))
	}
	for _, c := range held {
		if err := s.reholdChunk(ctx, q, tenantID, c, now); err != nil {
			return nil, err
		}
	}
	return bulkSends, nil
}

func (s *sender) reholdChunk(ctx context.Context, q *db.Queries, tenantID string, c db.ListHeldChunksRow, now time.Time) error {
	rest := sender{settings: s.settings, calendar: s.calendar}
	rest.settings.OverLimit = tenant.Queue // it is accepted already
	at := now
	if c.ScheduledAt != nil && c.ScheduledAt.After(now) {
		at = *c.ScheduledAt
	}
	late, expires := never, time.Time{} // what has no room is released when it expires
	if c.ExpiresAt != nil {
		late, expires = *c.ExpiresAt, *c.ExpiresAt
	}
	parts := rest.allot(int(c.Lines), at, now, expires)
	done := 0
	for _, p := range parts {
		done += p.lines
	}
	if left := int(c.Lines) - done; left > 0 {
		parts = append(parts, allotment{lines: left, day: never.Format(time.DateOnly), releaseAt: late})
	}
	skip := c.Skip
	for i, p := range parts {
		if p.releaseAt.IsZero() {
			p.releaseAt = now
		}
		var err error
		if i == 0 {
			err = q.SetHeldChunk(ctx, db.SetHeldChunkParams{
				Lines: int32(p.lines), UsageDay: date(p.day), ReleaseAt: &p.releaseAt, TenantID: tenantID, BulkSendID: c.BulkSendID, Number: c.Number,
			})
		} else {
			err = q.SplitChunk(ctx, db.SplitChunkParams{
				Skip: skip, Lines: int32(p.lines), UsageDay: date(p.day), ReleaseAt: p.releaseAt,
				TenantID: tenantID, BulkSendID: c.BulkSendID, Number: c.Number,
			})
		}
		if err != nil {
			return err
		}
		skip += int32(p.lines)
	}
	return nil
}
