// Package intake takes emails in and hands them to workflows.
//
// Acceptor is a group commit: whatever arrives while one transaction is under way
// forms the next, so a lone request waits for nobody and a flood shares its commits.
// Dispatcher is the same for workflow starts: a few start slots, each of which takes
// everything that the tenant that has waited longest has pending. Postgres is the only
// truth; what is in memory here can be lost, and Sweep finds it again.
package intake

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/quota"
)

// Receipt is the outcome of one email of a group: Err (a fault such as
// daily_limit_reached), or how it was accepted and where its tenant stands after it.
type Receipt struct {
	Status    email.Status // Queued, Scheduled or Held
	ReleaseAt time.Time    // until then it waits; zero: it is queued
	Day       string       // on which its recipients are reserved
	Quota     quota.Standing
	Weight    float32 // fair share of the tenant
	Err       error
}

// Answer is what a request with an idempotency key is answered. It is kept in the
// transaction that accepts the request's emails, so that whoever asks again after a crash
// gets it. When the key has an answer already, nothing of the request is accepted, and its
// emails' receipts have the fault idempotency_key_in_progress.
type Answer struct {
	Key    string
	Hash   []byte // of the request
	Render func([]Receipt) (status int, body []byte, err error)
}

// Request is emails of one tenant that are accepted in one transaction.
type Request struct {
	Emails []email.Email
	Answer *Answer // nil: without an idempotency key
}

// Pending is an accepted email that no dispatch has.
type Pending struct {
	TenantID    string
	EmailID     uuid.UUID
	Class       email.Class
	Weight      float32
	TraceParent string
}

// Ledger is the part of the database that intake writes.
type Ledger interface {
	// Accept writes a group of requests in one transaction; the receipts are in the order
	// of the requests and their emails. An error means that nothing was written.
	Accept(ctx context.Context, now time.Time, group []Request) ([][]Receipt, error)
	// ClaimDispatch makes a dispatch of those emails that have none yet, and says how
	// many; with none there is no dispatch.
	ClaimDispatch(ctx context.Context, tenantID string, class email.Class, dispatch uuid.UUID, emails []uuid.UUID) (int, error)
	SetDispatchRun(ctx context.Context, tenantID string, dispatch uuid.UUID, runID string) error
	// ListStaleEmails and ListStaleDispatches give what was made before an instant.
	ListStaleEmails(ctx context.Context, before time.Time, limit int) ([]Pending, error)
	ListStaleDispatches(ctx context.Context, before time.Time, limit int) ([]email.Dispatch, error)
	// ListCarriedDispatches gives dispatches after one, made before an instant, whose workflow
	// should be running. AbandonDispatch has the emails of one whose is not dispatched anew.
	ListCarriedDispatches(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]email.Dispatch, error)
	AbandonDispatch(ctx context.Context, tenantID string, dispatch uuid.UUID, now time.Time) (int, error)
	// Release gives up to limit emails that waited for a time that has come, in order.
	Release(ctx context.Context, now time.Time, limit int) ([]Pending, error)
}

// Starter starts workflows.
type Starter interface {
	StartSendEmails(ctx context.Context, d email.Dispatch) (runID string, err error)
}

// Workflows starts workflows, and knows which run.
type Workflows interface {
	Starter
	// Carries reports whether the workflow of a dispatch is running.
	Carries(ctx context.Context, d email.Dispatch) (bool, error)
}
