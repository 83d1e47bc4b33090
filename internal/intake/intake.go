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
// daily_limit_reached), or where its tenant stands after it was accepted.
type Receipt struct {
	Quota  quota.Standing
	Weight float32 // fair share of the tenant
	Err    error
}

// Pending is an accepted email that no dispatch has.
type Pending struct {
	TenantID    string
	EmailID     uuid.UUID
	Weight      float32
	TraceParent string
}

// StaleDispatch is a dispatch whose workflow is not known to have started.
type StaleDispatch struct {
	TenantID string
	ID       uuid.UUID
	Weight   float32
	Emails   int
}

// Ledger is the part of the database that intake writes.
type Ledger interface {
	// Accept writes a group of emails in one transaction; the receipts are in their
	// order. An error means that nothing was written.
	Accept(ctx context.Context, now time.Time, group []email.Email) ([]Receipt, error)
	// ClaimDispatch makes a dispatch of those emails that have none yet, and says how
	// many; with none there is no dispatch.
	ClaimDispatch(ctx context.Context, tenantID string, dispatch uuid.UUID, emails []uuid.UUID) (int, error)
	SetDispatchRun(ctx context.Context, tenantID string, dispatch uuid.UUID, runID string) error
	// ListStaleEmails and ListStaleDispatches give what was made before an instant.
	ListStaleEmails(ctx context.Context, before time.Time, limit int) ([]Pending, error)
	ListStaleDispatches(ctx context.Context, before time.Time, limit int) ([]StaleDispatch, error)
}

// Starter starts workflows.
type Starter interface {
	StartSendEmails(ctx context.Context, tenantID string, weight float32, dispatch uuid.UUID, emails int) (runID string, err error)
}
