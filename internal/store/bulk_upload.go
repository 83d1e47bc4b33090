package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// keptErrors is how many errors of an upload are kept; all are counted.
const keptErrors = 10_000

// UploadPatience is how long nobody need say that an upload is under way before it counts as
// cut off: its process is gone. Whoever takes one in says so several times as often.
const UploadPatience = time.Minute

// CreateBulkSend begins an upload. shared is what its lines have in common; key is the
// idempotency key of the request, if it has one. Of requests with one key, one at a time is
// let in; an earlier one whose process is gone is cancelled, and can not go on. Fault
// idempotency_key_in_progress.
func (s *Store) CreateBulkSend(
	ctx context.Context, bulkID uuid.UUID, name, key string, shared email.Email, now time.Time,
) error {
	raw, err := json.Marshal(shared)
	if err != nil {
		return translate("write what lines share", err)
	}
	p := db.InsertBulkSendParams{
		TenantID: shared.TenantID, ID: bulkID, Name: name, Class: string(shared.Class), Shared: raw,
		ScheduledAt: optionalTime(shared.ScheduledAt), ExpiresAt: optionalTime(shared.ExpiresAt), Now: now,
	}
	if key != "" {
		p.IdempotencyKey = &key
		if err := s.cancelUploadOfKey(ctx, shared.TenantID, key, now); err != nil {
			return err
		}
	}
	return s.inSystem(ctx, "create bulk send", func(q *db.Queries) error {
		n, err := q.InsertBulkSend(ctx, p)
		if err == nil && n == 0 {
			return KeyInProgress()
		}
		if err != nil || key == "" {
			return err
		}
		// An upload that has ended since the key was looked up has left its answer.
		_, err = q.GetAnswer(ctx, db.GetAnswerParams{TenantID: shared.TenantID, Key: key, Since: now.Add(-answersKept)})
		if err == nil {
			return KeyInProgress()
		}
		return ignoreNoRows(err)
	})
}

// cancelUploadOfKey cancels the upload with a key when its process is gone; fault
// idempotency_key_in_progress when it is not.
func (s *Store) cancelUploadOfKey(ctx context.Context, tenantID, key string, now time.Time) error {
	row, err := s.q.GetUploadOfKey(ctx, tenantID, key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return translate("get upload of key", err)
	}
	if wait := UploadPatience - now.Sub(row.ProgressedAt); wait >= 0 {
		f := keyInProgress()
		f.RetryAfter = max(wait, time.Second)
		return f
	}
	_, err = s.CancelUpload(ctx, tenantID, row.ID, now.Add(-UploadPatience), now)
	return err
}

// KeepUploading says that an upload is under way; fault bulk_send_cancelled.
func (s *Store) KeepUploading(ctx context.Context, tenantID string, bulkID uuid.UUID, now time.Time) error {
	n, err := s.q.TouchUpload(ctx, db.TouchUploadParams{Now: now, TenantID: tenantID, ID: bulkID})
	if err == nil && n == 0 {
		return uploadCancelled()
	}
	return translate("keep uploading", err)
}

func uploadCancelled() error {
	return fault.New(fault.Conflict, "bulk_send_cancelled", "The bulk send was cancelled while it was uploaded.")
}

// BulkBatch is some lines of an upload that follow one another.
type BulkBatch struct {
	Lines    []BulkLine
	Rejected int            // lines beside them that can not be accepted
	Errors   []BulkError    // why
	Quota    quota.Standing // of today, after what became of the batch
}

// AddBulkBatch writes a batch in one transaction: it reserves the lines against the daily
// limit, under the lock that accepting takes. Lines that the limit does not allow are
// rejected, or wait for a later day where the tenant lets its mail over the limit wait;
// with them, it gives what became of the batch. Fault bulk_send_cancelled.
func (s *Store) AddBulkBatch(
	ctx context.Context, bulkID uuid.UUID, shared email.Email, in BulkBatch, now time.Time,
) (out BulkBatch, err error) {
	packed, err := packLines(in.Lines)
	if err != nil {
		return out, translate("pack lines", err)
	}
	err = s.asSender(ctx, "add bulk batch", shared.TenantID, now, func(q *db.Queries, sd *sender) error {
		if sd.err != nil {
			return sd.err
		}
		row, err := q.LockBulkSend(ctx, shared.TenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("lock bulk send", err))
		}
		if BulkStatus(row.Status) != BulkUploading {
			return uploadCancelled()
		}
		w := bulkWriter{sender: sd, q: q, bulkID: bulkID, shared: shared, packed: packed}
		out, err = w.write(ctx, row, in, now)
		return err
	})
	return out, err
}

// bulkWriter writes batches of a bulk send, under the locks of its tenant and its row.
type bulkWriter struct {
	*sender
	q      *db.Queries
	bulkID uuid.UUID
	shared email.Email
	packed []byte
}

func (w *bulkWriter) write(ctx context.Context, row db.LockBulkSendRow, in BulkBatch, now time.Time) (out BulkBatch, err error) {
	at := now
	if w.shared.ScheduledAt.After(now) {
		at = w.shared.ScheduledAt
	}
	parts := w.allot(len(in.Lines), at, now, w.shared.ExpiresAt)
	fit := 0
	for i, p := range parts {
		if err := w.q.InsertBulkSendChunk(ctx, db.InsertBulkSendChunkParams{
			TenantID: w.shared.TenantID, BulkSendID: w.bulkID, Number: row.Chunks + int32(i) + 1, Skip: int32(fit), Lines: int32(p.lines),
			Content: w.packed, UsageDay: date(p.day), Held: p.held, ReleaseAt: optionalTime(p.releaseAt),
		}); err != nil {
			return out, err
		}
		fit += p.lines
	}
	out = BulkBatch{Lines: in.Lines[:fit], Rejected: in.Rejected, Errors: in.Errors, Quota: w.calendar.Standing(now)}
	out.reject(in.Lines[fit:], overLimitText(w.calendar.Standing(at).Limit))
	kept := min(len(out.Errors), keptErrors-int(row.Errors))
	if err := w.writeErrors(ctx, out.Errors[:kept], row.Errors); err != nil {
		return out, err
	}
	return out, w.q.AdvanceBulkSend(ctx, db.AdvanceBulkSendParams{
		Chunks: int32(len(parts)), Accepted: int32(fit), Rejected: int32(out.Rejected), Errors: int32(kept),
		Now: now, TenantID: w.shared.TenantID, ID: w.bulkID,
	})
}

func (w *bulkWriter) writeErrors(ctx context.Context, errs []BulkError, before int32) error {
	if len(errs) == 0 {
		return nil
	}
	p := db.InsertBulkSendErrorsParams{TenantID: w.shared.TenantID, BulkSendID: w.bulkID}
	for i, e := range errs {
		p.Numbers, p.Lines = append(p.Numbers, before+int32(i)+1), append(p.Lines, int32(e.Line))
		p.Locations, p.Codes, p.Messages = append(p.Locations, e.Location), append(p.Codes, e.Code), append(p.Messages, e.Message)
	}
	return w.q.InsertBulkSendErrors(ctx, p)
}

// UploadAnswer renders the answer to an upload that ends with a status.
type UploadAnswer func(BulkStatus) (Answer, error)

// CompleteBulkSend ends an upload: it may be sent from now on. Without a line that was
// accepted there is nothing to send, and it is completed. The answer to an upload with an
// idempotency key is kept in the same transaction, under the lock that accepting takes,
// unless nothing was accepted. Faults bulk_send_cancelled, idempotency_key_reused.
func (s *Store) CompleteBulkSend(
	ctx context.Context, tenantID string, bulkID uuid.UUID, answer UploadAnswer, now time.Time,
) (status BulkStatus, err error) {
	err = s.asSender(ctx, "complete bulk send", tenantID, now, func(q *db.Queries, _ *sender) error {
		row, err := q.LockBulkSend(ctx, tenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("lock bulk send", err))
		}
		if BulkStatus(row.Status) != BulkUploading {
			return uploadCancelled()
		}
		status = BulkRunning
		var finishedAt *time.Time
		if row.Accepted == 0 {
			status, finishedAt = BulkCompleted, &now
		} else if row.IdempotencyKey != nil {
			if err := keepUploadAnswer(ctx, q, tenantID, *row.IdempotencyKey, answer, now); err != nil {
				return err
			}
		}
		return q.SetBulkSendStatus(ctx, db.SetBulkSendStatusParams{
			Status: string(status), Now: now, FinishedAt: finishedAt, TenantID: tenantID, ID: bulkID,
		})
	})
	return status, err
}

func keepUploadAnswer(ctx context.Context, q *db.Queries, tenantID, key string, answer UploadAnswer, now time.Time) error {
	a, err := answer(BulkRunning)
	if err != nil {
		return err
	}
	n, err := q.SetAnswer(ctx, setAnswer(tenantID, key, a, now))
	if err == nil && n == 0 { // something else was created with it meanwhile
		return KeyReused()
	}
	return err
}

// CancelUpload cancels an upload that is under way, and has been left alone since before an
// instant. It gives the status of the bulk send after it: one whose upload has ended is
// left as it is.
func (s *Store) CancelUpload(
	ctx context.Context, tenantID string, bulkID uuid.UUID, before, now time.Time,
) (status BulkStatus, err error) {
	err = s.asSender(ctx, "cancel upload", tenantID, now, func(q *db.Queries, sd *sender) error {
		row, err := q.LockBulkSend(ctx, tenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("lock bulk send", err))
		}
		status = BulkStatus(row.Status)
		if status != BulkUploading || row.ProgressedAt.After(before) {
			return nil
		}
		if _, _, err := sd.cancelBulk(ctx, q, tenantID, bulkID, now); err != nil {
			return err
		}
		status = BulkCancelled
		return q.SetBulkSendStatus(ctx, db.SetBulkSendStatusParams{
			Status: string(status), Now: now, FinishedAt: &now, TenantID: tenantID, ID: bulkID,
		})
	})
	return status, err
}

// CancelStaleUploads cancels uploads that nobody has said to be under way since an instant:
// the process that took them in is gone. It says how many it has looked at.
func (s *Store) CancelStaleUploads(ctx context.Context, before, now time.Time) (int, error) {
	rows, err := s.q.ListStaleUploads(ctx, before)
	if err != nil {
		return 0, translate("list stale uploads", err)
	}
	for i, row := range rows {
		if _, err := s.CancelUpload(ctx, row.TenantID, row.ID, before, now); err != nil && fault.KindOf(err) != fault.NotFound {
			return i, err
		}
	}
	return len(rows), nil
}

// reject rejects lines, all for the daily limit.
func (b *BulkBatch) reject(lines []BulkLine, why string) {
	b.Rejected += len(lines)
	if len(lines) == 0 {
		return
	}
	b.Errors = append([]BulkError(nil), b.Errors...)
	for _, l := range lines {
		b.Errors = append(b.Errors, BulkError{Line: l.Number, Location: "to", Code: "daily_limit_reached", Message: why})
	}
}

// allotment is lines that are reserved on the same day.
type allotment struct {
	lines     int
	day       string
	held      bool
	releaseAt time.Time // zero: it need not wait
}

// allot reserves up to n lines: as many as fit on the day on which they are to be sent,
// and, where the tenant lets mail over its limit wait, the others on the first days after
// it that have room, and on which they are not expired.
func (s *sender) allot(n int, at, now, expiresAt time.Time) (parts []allotment) {
	if k := s.room(n, at); k > 0 {
		day, _ := s.calendar.Reserve(k, at)
		p := allotment{lines: k, day: day}
		if at.After(now) {
			p.releaseAt = at
		}
		parts, n = append(parts, p), n-k
	}
	if s.settings.OverLimit != tenant.Queue {
		return parts
	}
	for n > 0 {
		day, opens, ok := s.calendar.Defer(1, at)
		if !ok {
			return parts
		}
		if !expiresAt.IsZero() && expiresAt.Before(opens) {
			s.calendar.Return(day, 1)
			return parts
		}
		k := 1 + s.room(n-1, opens)
		s.calendar.Reserve(k-1, opens)
		parts, n = append(parts, allotment{lines: k, day: day, held: true, releaseAt: opens}), n-k
	}
	return parts
}

// room is how many of n the day of an instant has room for.
func (s *sender) room(n int, at time.Time) int {
	if left := s.calendar.Standing(at).Remaining(); left != nil {
		return max(0, min(n, *left))
	}
	return n
}

func overLimitText(limit *int) string {
	return fmt.Sprintf("the daily limit of %d recipients does not allow this one", orZero(limit))
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
