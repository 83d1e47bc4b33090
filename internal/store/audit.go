package store

import (
	"context"
	"encoding/hex"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// auditLock is the advisory lock under which the audit log grows: "mtaudit" in ASCII.
const auditLock = 0x6d746175646974

// record writes administrative acts down, in the transaction that does them, so that neither
// is without the other. Who acts, and by which request, is in the context. It is the last thing
// that the transaction does: the lock is then held for a moment only, and what comes behind
// it is refused, since the transaction goes on as the role of the log.
func record(ctx context.Context, q *db.Queries, acts ...audit.Act) error {
	if err := q.LockAuditLog(ctx, auditLock); err != nil {
		return err
	}
	row, err := q.GetAuditHead(ctx)
	if err != nil {
		return err
	}
	head := audit.Head{Number: row.Number, Hash: hex.EncodeToString(row.Hash)}
	for _, act := range acts {
		e, err := head.Next(ctx, act, telemetry.Request(ctx), row.Now)
		if err != nil {
			return err
		}
		if err := insertEntry(ctx, q, e); err != nil {
			return err
		}
		head = audit.Head{Number: e.Number, Hash: e.Hash}
	}
	return nil
}

func insertEntry(ctx context.Context, q *db.Queries, e audit.Entry) error {
	previous, err := hex.DecodeString(e.Previous)
	if err != nil {
		return err
	}
	hash, err := hex.DecodeString(e.Hash)
	if err != nil {
		return err
	}
	return q.InsertAuditEntry(ctx, db.InsertAuditEntryParams{
		Number: e.Number, At: e.At, ActorKind: string(e.Actor.Kind), ActorID: e.Actor.ID, Action: string(e.Action), TenantID: e.TenantID,
		Target: e.Target, Before: e.Before, After: e.After, Note: e.Note, RequestID: e.RequestID, PreviousHash: previous, Hash: hash,
	})
}

// AuditFilter says which entries are wanted. What is empty is not asked for.
type AuditFilter struct {
	TenantID string
	Action   string
	ActorID  string
	Since    *time.Time
	Until    *time.Time // not included
}

// ListAuditEntries gives up to limit entries after a cursor, newest first.
func (s *Store) ListAuditEntries(
	ctx context.Context, f AuditFilter, after string, limit int,
) (items []audit.Entry, next string, err error) {
	before, err := entryCursor(after)
	if err != nil {
		return nil, "", err
	}
	var rows []db.AuditLog
	err = s.asAuditor(ctx, "list audit log", func(q *db.Queries) error {
		rows, err = q.ListAuditEntriesBefore(ctx, db.ListAuditEntriesBeforeParams{
			BeforeNumber: before, TenantID: orNil(f.TenantID), Action: orNil(f.Action), ActorID: orNil(f.ActorID),
			Since: f.Since, Until: f.Until, Count: int32(limit) + 1,
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	rows, more := page(rows, limit)
	for _, row := range rows {
		items = append(items, toEntry(row))
	}
	if more {
		next = strconv.FormatInt(rows[len(rows)-1].Number, 10)
	}
	return items, next, nil
}

// auditChunk is how many entries are read at a time.
const auditChunk = 500

// AuditEntries gives the whole log, the oldest first, as it was when that was reached: of a
// log that grows it ends with the last entry. It ends with the first error.
func (s *Store) AuditEntries(ctx context.Context) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for after := int64(math.MinInt64); ; {
			var rows []db.AuditLog
			err := s.asAuditor(ctx, "read audit log", func(q *db.Queries) (err error) {
				rows, err = q.ListAuditEntriesAfter(ctx, after, auditChunk)
				return err
			})
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for _, row := range rows {
				if after = row.Number; !yield(toEntry(row), nil) {
					return
				}
			}
			if len(rows) < auditChunk {
				return
			}
		}
	}
}

// asAuditor runs fn in a transaction that sees the audit log and nothing else.
func (s *Store) asAuditor(ctx context.Context, operation string, fn func(*db.Queries) error) error {
	return translate(operation, pgx.BeginFunc(ctx, s.request, func(tx pgx.Tx) error {
		q := db.New(tx)
		if err := q.BecomeAuditor(ctx); err != nil {
			return err
		}
		return fn(q)
	}))
}

func toEntry(row db.AuditLog) audit.Entry {
	return audit.Entry{
		Number: row.Number, At: row.At.UTC(), Actor: audit.Actor{Kind: audit.Kind(row.ActorKind), ID: row.ActorID},
		Action: audit.Action(row.Action), TenantID: row.TenantID, Target: row.Target, Before: row.Before, After: row.After,
		Note: row.Note, RequestID: row.RequestID, Previous: hex.EncodeToString(row.PreviousHash), Hash: hex.EncodeToString(row.Hash),
	}
}

// entryCursor reads the cursor of the log; empty is the beginning, the newest entry.
func entryCursor(after string) (int64, error) {
	if after == "" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.InvalidFields(errCursor)
	}
	return n, nil
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
