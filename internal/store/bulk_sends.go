package store

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// BulkStatus is where a bulk send stands.
type BulkStatus string

// The states of a bulk send.
const (
	BulkUploading BulkStatus = "uploading" // nothing is sent before all of it is here
	BulkRunning   BulkStatus = "running"
	BulkPaused    BulkStatus = "paused"    // no more of it is queued
	BulkCancelled BulkStatus = "cancelled" // taken back, or its upload was cut off
	BulkCompleted BulkStatus = "completed" // every line is an email
)

// BulkSend is a bulk send as it stands.
type BulkSend struct {
	TenantID   string
	ID         uuid.UUID
	Name       string
	Status     BulkStatus
	Class      email.Class
	Accepted   int                  // lines
	Rejected   int                  // lines
	Progress   map[email.Status]int // of the accepted lines
	RunID      string               // of its workflow; may be empty for a moment after its start
	CreatedAt  time.Time
	FinishedAt *time.Time
}

// BulkError is something that is wrong with a line of an upload.
type BulkError struct {
	Line     int // 1 is the shared one
	Location string
	Code     string
	Message  string
}

func noBulkSend(err error) error {
	return notFound(err, "bulk_send_not_found", "There is no such bulk send.")
}

// BulkSend gives a bulk send; fault bulk_send_not_found.
func (s *Store) BulkSend(ctx context.Context, tenantID string, bulkID uuid.UUID) (b BulkSend, err error) {
	err = s.inTenant(ctx, "get bulk send", tenantID, func(q *db.Queries) error {
		row, err := q.GetBulkSend(ctx, tenantID, bulkID)
		if err != nil {
			return noBulkSend(translate("select bulk send", err))
		}
		all := []BulkSend{toBulkSend(tenantID, row)}
		err = addProgress(ctx, q, tenantID, all)
		b = all[0]
		return err
	})
	return b, err
}

// ListBulkSends lists a tenant's bulk sends, newest first.
func (s *Store) ListBulkSends(ctx context.Context, tenantID, after string, limit int) (items []BulkSend, next string, err error) {
	cursor, err := idCursor(after)
	if err != nil {
		return nil, "", err
	}
	err = s.inTenant(ctx, "list bulk sends", tenantID, func(q *db.Queries) error {
		rows, err := q.ListBulkSendsAfter(ctx, db.ListBulkSendsAfterParams{TenantID: tenantID, AfterID: cursor, Count: int32(limit) + 1})
		if err != nil {
			return err
		}
		rows, more := page(rows, limit)
		for _, row := range rows {
			items = append(items, toBulkSend(tenantID, db.GetBulkSendRow(row)))
		}
		if more {
			next = cursorOf(items[len(items)-1].ID)
		}
		return addProgress(ctx, q, tenantID, items)
	})
	return items, next, err
}

func toBulkSend(tenantID string, row db.GetBulkSendRow) BulkSend {
	return BulkSend{
		TenantID: tenantID, ID: row.ID, Name: row.Name, Status: BulkStatus(row.Status), Class: email.Class(row.Class),
		Accepted: int(row.Accepted), Rejected: int(row.Rejected), Progress: map[email.Status]int{}, RunID: orZero(row.RunID),
		CreatedAt: row.CreatedAt, FinishedAt: row.FinishedAt,
	}
}

// addProgress counts where the lines of bulk sends stand.
func addProgress(ctx context.Context, q *db.Queries, tenantID string, all []BulkSend) error {
	at := make(map[uuid.UUID]map[email.Status]int, len(all))
	ids := make([]uuid.UUID, len(all))
	for i, b := range all {
		at[b.ID], ids[i] = b.Progress, b.ID
	}
	rows, err := q.CountBulkSendLines(ctx, db.CountBulkSendLinesParams{Now: time.Now(), TenantID: tenantID, Ids: ids})
	for _, row := range rows {
		at[row.BulkSendID][email.Status(row.Status)] = int(row.Lines)
	}
	return err
}

// ListBulkSendErrors lists what was wrong with an upload, line by line; fault
// bulk_send_not_found.
func (s *Store) ListBulkSendErrors(
	ctx context.Context, tenantID string, bulkID uuid.UUID, after string, limit int,
) (items []BulkError, next string, err error) {
	from, err := numberCursor(after)
	if err != nil {
		return nil, "", err
	}
	err = s.inTenant(ctx, "list bulk send errors", tenantID, func(q *db.Queries) error {
		if _, err := q.GetBulkSend(ctx, tenantID, bulkID); err != nil {
			return noBulkSend(translate("select bulk send", err))
		}
		rows, err := q.ListBulkSendErrorsAfter(ctx, db.ListBulkSendErrorsAfterParams{
			TenantID: tenantID, BulkSendID: bulkID, After: from, Count: int32(limit) + 1,
		})
		if err != nil {
			return err
		}
		rows, more := page(rows, limit)
		for _, row := range rows {
			items = append(items, BulkError{Line: int(row.Line), Location: row.Location, Code: row.Code, Message: row.Message})
		}
		if more {
			next = numberCursorOf(rows[len(rows)-1].Number)
		}
		return nil
	})
	return items, next, err
}

// numberCursor reads the cursor of a list that is sorted by a number from 1 on.
func numberCursor(after string) (int32, error) {
	if after == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(after)
	if err == nil {
		var n int64
		if n, err = strconv.ParseInt(string(raw), 10, 32); err == nil {
			return int32(n), nil
		}
	}
	return 0, fault.InvalidFields(errCursor)
}

func numberCursorOf(n int32) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(int(n))))
}

// StaleBulkSends gives bulk sends whose upload ended before an instant and whose workflow
// is not known to have started.
func (s *Store) StaleBulkSends(ctx context.Context, before time.Time) ([]BulkSend, error) {
	rows, err := s.q.ListStaleBulkSends(ctx, before)
	if err != nil {
		return nil, translate("list stale bulk sends", err)
	}
	stale := make([]BulkSend, len(rows))
	for i, row := range rows {
		stale[i] = BulkSend{TenantID: row.TenantID, ID: row.ID, Class: email.Class(row.Class), Accepted: int(row.Accepted)}
	}
	return stale, nil
}

// SetBulkSendRun records which workflow run sends a bulk send.
func (s *Store) SetBulkSendRun(ctx context.Context, tenantID string, bulkID uuid.UUID, runID string) error {
	return translate("set bulk send run", s.q.SetBulkSendRun(ctx, db.SetBulkSendRunParams{TenantID: tenantID, ID: bulkID, RunID: runID}))
}
