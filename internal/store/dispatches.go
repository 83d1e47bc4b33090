package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store/db"
)

// ClaimDispatch makes a dispatch of those emails that have none yet.
func (s *Store) ClaimDispatch(
	ctx context.Context, tenantID string, class email.Class, dispatch uuid.UUID, emails []uuid.UUID,
) (claimed int, err error) {
	err = s.inSystem(ctx, "claim dispatch", func(q *db.Queries) error {
		n, err := q.ClaimEmails(ctx, db.ClaimEmailsParams{DispatchID: dispatch, TenantID: tenantID, Ids: emails})
		if err != nil || n == 0 {
			return err
		}
		claimed = int(n)
		return q.InsertDispatch(ctx, db.InsertDispatchParams{TenantID: tenantID, ID: dispatch, Class: string(class), Emails: int32(n)})
	})
	return claimed, err
}

// SetDispatchRun records which workflow run carries a dispatch.
func (s *Store) SetDispatchRun(ctx context.Context, tenantID string, dispatch uuid.UUID, runID string) error {
	return translate("set dispatch run", s.q.SetDispatchRun(ctx, db.SetDispatchRunParams{TenantID: tenantID, ID: dispatch, RunID: runID}))
}

// ListStaleEmails gives accepted emails of active tenants that have had no dispatch since
// before an instant, oldest first.
func (s *Store) ListStaleEmails(ctx context.Context, before time.Time, limit int) ([]intake.Pending, error) {
	rows, err := s.q.ListStaleEmails(ctx, before, int32(limit))
	if err != nil {
		return nil, translate("list stale emails", err)
	}
	pending := make([]intake.Pending, len(rows))
	for i, row := range rows {
		pending[i] = intake.Pending{
			TenantID: row.TenantID, EmailID: row.ID, Class: email.Class(row.Class), Weight: row.Weight, TraceParent: row.TraceParent,
		}
	}
	return pending, nil
}

// ListStaleDispatches gives dispatches of active tenants that were made before an instant
// and whose workflow is not known to have started, oldest first.
func (s *Store) ListStaleDispatches(ctx context.Context, before time.Time, limit int) ([]email.Dispatch, error) {
	rows, err := s.q.ListStaleDispatches(ctx, before, int32(limit))
	if err != nil {
		return nil, translate("list stale dispatches", err)
	}
	stale := make([]email.Dispatch, len(rows))
	for i, row := range rows {
		stale[i] = email.Dispatch{
			TenantID: row.TenantID, ID: row.ID, Class: email.Class(row.Class), Weight: row.Weight, Emails: int(row.Emails),
			BulkSendID: row.BulkSendID,
		}
	}
	return stale, nil
}

// ListOpenDispatches gives dispatches of a tenant that are not finished, oldest first, from the
// one after after: a workflow carries each, or is about to.
func (s *Store) ListOpenDispatches(ctx context.Context, tenantID string, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	ids, err := s.q.ListOpenDispatches(ctx, db.ListOpenDispatchesParams{TenantID: tenantID, After: after, Count: int32(limit)})
	return ids, translate("list open dispatches", err)
}

// ListCarriedDispatches gives dispatches of all tenants that were made before an instant and
// whose workflow should be running, oldest first, from the one after after.
func (s *Store) ListCarriedDispatches(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]email.Dispatch, error) {
	rows, err := s.q.ListCarriedDispatches(ctx, db.ListCarriedDispatchesParams{Before: before, After: after, Count: int32(limit)})
	carried := make([]email.Dispatch, len(rows))
	for i, row := range rows {
		carried[i] = email.Dispatch{TenantID: row.TenantID, ID: row.ID}
	}
	return carried, translate("list carried dispatches", err)
}

// settled is how long a hand-over can be under way after its workflow has ended.
const settled = 10 * time.Minute

// AbandonDispatch gives the emails of a dispatch whose workflow is gone, and that have open
// recipients, to be dispatched anew, and says how many. While a hand-over of the dispatch may
// still be under way it does nothing.
func (s *Store) AbandonDispatch(ctx context.Context, tenantID string, dispatch uuid.UUID, now time.Time) (freed int, err error) {
	err = s.inSystem(ctx, "abandon dispatch", func(q *db.Queries) error {
		if err := q.TouchDispatchRecipients(ctx, db.TouchDispatchRecipientsParams{Now: now, ID: dispatch, TenantID: tenantID}); err != nil {
			return err
		}
		n, err := q.AbandonDispatch(ctx, db.AbandonDispatchParams{TenantID: tenantID, ID: dispatch, Now: now, Settled: now.Add(-settled)})
		freed = int(n)
		return err
	})
	return freed, err
}
