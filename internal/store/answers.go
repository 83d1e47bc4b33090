package store

import (
	"context"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store/db"
)

// answersKept is how long the answer to a request with an idempotency key is given again.
const answersKept = 24 * time.Hour

// Answer is what a request with an idempotency key was answered.
type Answer struct {
	Hash     []byte // of the request
	Status   int
	Location string
	Body     []byte
}

// KeyInProgress is the fault of a request whose idempotency key another one is using.
func KeyInProgress() error { return keyInProgress() }

func keyInProgress() *fault.Error {
	f := fault.New(fault.Conflict, "idempotency_key_in_progress", "A request with this Idempotency-Key is under way.")
	f.RetryAfter = time.Second
	return f
}

// KeyReused is the fault of a request whose idempotency key has served another one.
func KeyReused() error {
	return fault.New(fault.Conflict, "idempotency_key_reused", "The Idempotency-Key belongs to another request.")
}

// Answer gives what a tenant's request (an operator's, for an empty tenant) with a key was
// answered within 24 hours; fault not_found.
func (s *Store) Answer(ctx context.Context, tenantID, key string, now time.Time) (Answer, error) {
	row, err := s.q.GetAnswer(ctx, db.GetAnswerParams{TenantID: tenantID, Key: key, Since: now.Add(-answersKept)})
	if err != nil {
		return Answer{}, translate("get answer", err)
	}
	return Answer{Hash: row.Hash, Status: int(row.Status), Location: row.Location, Body: row.Body}, nil
}

// Kept is the answer that a key's request will be given again.
type Kept struct {
	TenantID string // empty: an operator's request
	Key      string
	Answer   Answer
	Now      time.Time
}

// Keep gives the answer to a request that created something, to be kept in the transaction
// that created it: when it can not be kept, nothing is created, and the other way round.
type Keep[T any] func(created T) (Kept, error)

// keepAll keeps what was answered. When another process has served a key meanwhile, it is
// the one that has created.
func keepAll[T any](ctx context.Context, q *db.Queries, created T, keeps []Keep[T]) error {
	for _, keep := range keeps {
		k, err := keep(created)
		if err != nil {
			return err
		}
		if err := keepOne(ctx, q, k); err != nil {
			return err
		}
	}
	return nil
}

func keepOne(ctx context.Context, q *db.Queries, k Kept) error {
	n, err := q.SetAnswer(ctx, setAnswer(k.TenantID, k.Key, k.Answer, k.Now))
	if err == nil && n == 0 {
		err = keyInProgress()
	}
	return err
}

// keepAllIn is keepAll for the transaction of a tenant in which an operator's request creates
// something that was sent to another tenant, whose key it is.
func keepAllIn[T any](ctx context.Context, q *db.Queries, tenantID string, created T, keeps []Keep[T]) error {
	for _, keep := range keeps {
		k, err := keep(created)
		if err != nil {
			return err
		}
		err = q.SetTenant(ctx, k.TenantID)
		if err == nil {
			err = keepOne(ctx, q, k)
		}
		if err == nil {
			err = q.SetTenant(ctx, tenantID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// AmendAnswer replaces an answer that was kept before all was known that it says.
func (s *Store) AmendAnswer(ctx context.Context, k Kept) error {
	return translate("amend answer", s.q.ReplaceAnswer(ctx, db.ReplaceAnswerParams{
		TenantID: k.TenantID, Key: k.Key, Hash: k.Answer.Hash, Body: k.Answer.Body,
	}))
}

// KeepAnswer keeps an answer. One that the key has already stays.
func (s *Store) KeepAnswer(ctx context.Context, tenantID, key string, a Answer, now time.Time) error {
	_, err := s.q.SetAnswer(ctx, setAnswer(tenantID, key, a, now))
	return translate("keep answer", err)
}

func setAnswer(tenantID, key string, a Answer, now time.Time) db.SetAnswerParams {
	return db.SetAnswerParams{
		TenantID: tenantID, Key: key, Hash: a.Hash, Status: int32(a.Status), Location: a.Location, Body: a.Body,
		Since: now.Add(-answersKept),
	}
}

// ForgetAnswers deletes answers that are not given again any more, some thousand at a time.
func (s *Store) ForgetAnswers(ctx context.Context, now time.Time) error {
	_, err := s.q.DeleteOldAnswers(ctx, now.Add(-answersKept))
	return translate("forget answers", err)
}
