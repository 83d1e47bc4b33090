package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/store/db"
)

// Story is an email with everything that happened to it.
type Story struct {
	EmailRecord
	Held         bool      // it was accepted over the daily limit
	DispatchedAt time.Time // zero: no workflow carries it yet
	Attempts     map[uuid.UUID][]AttemptRecord
}

// AttemptRecord is an attempt as it is in the ledger.
type AttemptRecord struct {
	Number     int
	StartedAt  time.Time
	FinishedAt *time.Time // nil: it is under way
	Verdict    string
	Phase      string
	Code       int
	Enhanced   string
	Reply      string
	Peer       string
	TLS        bool
	Dialogue   string
}

// Story gives an email with its attempts, by recipient, in order; fault email_not_found.
func (s *Store) Story(ctx context.Context, tenantID string, emailID uuid.UUID) (story Story, err error) {
	err = s.inTenant(ctx, "get story", tenantID, func(q *db.Queries) error {
		row, err := q.GetEmail(ctx, tenantID, emailID)
		if err != nil {
			return notFound(translate("select email", err), "email_not_found", "There is no such email.")
		}
		records := []EmailRecord{toEmailRecord(row)}
		if err := addRecipients(ctx, q, tenantID, records); err != nil {
			return err
		}
		story = Story{EmailRecord: records[0], Attempts: map[uuid.UUID][]AttemptRecord{}}
		story.Held = row.Held
		if row.DispatchedAt != nil {
			story.DispatchedAt = *row.DispatchedAt
		}
		attempts, err := q.ListAttempts(ctx, tenantID, emailID)
		for _, a := range attempts {
			story.Attempts[a.RecipientID] = append(story.Attempts[a.RecipientID], toAttempt(a))
		}
		return err
	})
	return story, err
}

func toAttempt(a db.Attempt) AttemptRecord {
	return AttemptRecord{
		Number: int(a.Number), StartedAt: a.StartedAt, FinishedAt: a.FinishedAt, Verdict: orZero(a.Verdict), Phase: orZero(a.Phase),
		Code: int(orZero(a.Code)), Enhanced: orZero(a.Enhanced), Reply: orZero(a.Reply), Peer: orZero(a.Peer), TLS: orZero(a.Tls),
		Dialogue: orZero(a.Dialogue),
	}
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
