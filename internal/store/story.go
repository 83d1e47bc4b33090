package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/store/db"
)

// Story is an email with everything that happened to it.
type Story struct {
	EmailRecord
	Held         bool      // it was accepted over the daily limit
	ReleasedAt   time.Time // when it was last taken up: from its wait, or again; zero: it never waited
	Suspensions  []Period  // of its tenant that have ended, oldest first
	DispatchedAt time.Time // zero: no workflow carries it yet
	Attempts     map[uuid.UUID][]AttemptRecord
}

// Period is a time from one instant to another.
type Period struct{ From, To time.Time }

// AttemptRecord is an attempt as it is in the ledger.
type AttemptRecord struct {
	Number     int
	StartedAt  time.Time
	FinishedAt *time.Time // nil: it is under way
	NextAt     time.Time  // of one that was deferred: when the next was due; zero where that is not known any more
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
		story.DispatchedAt, story.ReleasedAt = orZero(row.DispatchedAt), orZero(row.RetriedAt)
		if story.Suspensions, err = suspensions(ctx, q, tenantID); err != nil {
			return err
		}
		return story.addAttempts(ctx, q, tenantID)
	})
	return story, err
}

func (s *Story) addAttempts(ctx context.Context, q *db.Queries, tenantID string) error {
	type place struct {
		recipient uuid.UUID
		number    int32
	}
	deferrals, err := q.ListDeferrals(ctx, tenantID, &s.ID)
	if err != nil {
		return translate("select deferrals", err)
	}
	next := map[place]time.Time{}
	for _, d := range deferrals {
		next[place{orZero(d.RecipientID), orZero(d.Attempt)}] = d.NextAt
	}
	attempts, err := q.ListAttempts(ctx, tenantID, s.ID)
	for _, a := range attempts {
		record := toAttempt(a)
		record.NextAt = next[place{a.RecipientID, a.Number}]
		s.Attempts[a.RecipientID] = append(s.Attempts[a.RecipientID], record)
	}
	return err
}

// suspensions are those that have ended: from the first flag that was set to the last that was
// taken away.
func suspensions(ctx context.Context, q *db.Queries, tenantID string) (ended []Period, err error) {
	rows, err := q.ListSuspensions(ctx, tenantID)
	if err != nil {
		return nil, translate("select suspensions", err)
	}
	var since time.Time
	for _, row := range rows {
		switch {
		case row.Type == string(event.TenantSuspended) && since.IsZero():
			since = row.CreatedAt
		case row.Type == string(event.TenantResumed) && !since.IsZero():
			ended = append(ended, Period{since, row.CreatedAt})
			since = time.Time{}
		}
	}
	return ended, nil
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
