package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Suspend sets one of the flags of a tenant: from this transaction on nothing more of it is accepted, and
// nothing goes out, unless what is queued is to go out first. Doing it again changes nothing but the reason.
// Faults tenant_not_found, tenant_provisioning, tenant_deleting.
func (s *Store) Suspend(ctx context.Context, tenantID string, by tenant.Suspender, f tenant.Flag) (tenant.Tenant, error) {
	f.Since = f.Since.UTC().Truncate(time.Microsecond)
	return s.changeSuspension(ctx, "suspend tenant", tenantID, audit.TenantSuspend, func(t *tenant.Tenant) (*news, error) {
		was := t.Suspension.Of(by) != nil
		changed, err := t.Suspend(by, f)
		if err != nil || !changed {
			return nil, err
		}
		if was {
			return &news{}, nil
		}
		return &news{event.TenantSuspended, EventTenant{by, f.Reason, f.Drain}}, nil
	})
}

// Resume takes flags of a tenant away; with the last one it sends again. Faults as of Suspend.
func (s *Store) Resume(ctx context.Context, tenantID string, which ...tenant.Suspender) (tenant.Tenant, error) {
	return s.changeSuspension(ctx, "resume tenant", tenantID, audit.TenantResume, func(t *tenant.Tenant) (*news, error) {
		lifted, err := t.Resume(which...)
		if err != nil || len(lifted) == 0 {
			return nil, err
		}
		if t.Suspension.Any() {
			return &news{}, nil
		}
		return &news{event.TenantResumed, struct{}{}}, nil
	})
}

// news is that a suspension has changed, with what the tenant is told; without a kind, nothing.
type news struct {
	kind event.Type
	data any
}

func (s *Store) changeSuspension(
	ctx context.Context, operation, tenantID string, action audit.Action, change func(*tenant.Tenant) (*news, error),
) (changed tenant.Tenant, err error) {
	err = s.inSystem(ctx, operation, func(q *db.Queries) error {
		locked, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		if changed, err = toTenant(locked); err != nil {
			return err
		}
		before := auditedSuspension(changed)
		told, err := change(&changed)
		if err != nil || told == nil {
			return err
		}
		if changed, err = setSuspension(ctx, q, changed, false); err != nil {
			return err
		}
		if err := told.tell(ctx, q, tenantID); err != nil {
			return err
		}
		return record(ctx, q, audit.Act{Action: action, TenantID: tenantID, Target: tenantID, Before: before, After: auditedSuspension(changed)})
	})
	return changed, err
}

func (n *news) tell(ctx context.Context, q *db.Queries, tenantID string) error {
	if n.kind == "" {
		return nil
	}
	data, err := json.Marshal(n.data)
	if err != nil {
		return err
	}
	return q.InsertEvents(ctx, db.InsertEventsParams{
		TenantIds: []string{tenantID}, Types: []string{string(n.kind)}, Data: []string{string(data)}, Now: time.Now(),
	})
}

// auditedSuspension is what the audit log has of a suspension.
func auditedSuspension(t tenant.Tenant) any {
	return map[string]any{"status": t.Status, "suspension": t.Suspension}
}

func setSuspension(ctx context.Context, q *db.Queries, t tenant.Tenant, followed bool) (tenant.Tenant, error) {
	flags, err := json.Marshal(t.Suspension)
	if err != nil {
		return t, err
	}
	row, err := q.SetSuspension(ctx, db.SetSuspensionParams{ID: t.ID, Status: string(t.Status), Suspension: flags, Followed: followed})
	if err != nil {
		return t, err
	}
	return toTenant(row)
}

// DrainTenant makes a tenant suspended of which nothing that was queued when it began to drain is left,
// and gives the tenant as it stands, with how much is left. For one that is not draining it changes nothing.
// What is left only becomes less, so that it is counted without a lock, which accepting would wait for.
func (s *Store) DrainTenant(ctx context.Context, tenantID string) (t tenant.Tenant, left int, err error) {
	if t, err = s.Tenant(ctx, tenantID); err != nil || t.Status != tenant.Draining {
		return t, 0, err
	}
	queued, err := s.q.CountQueuedBefore(ctx, tenantID, t.Suspension.Since())
	if err != nil || queued > 0 {
		return t, int(queued), translate("count what is queued", err)
	}
	err = s.inSystem(ctx, "drain tenant", func(q *db.Queries) error {
		locked, err := q.LockTenant(ctx, tenantID)
		if err != nil {
			return noTenant(translate("lock tenant", err), tenantID)
		}
		if t, err = toTenant(locked); err != nil || t.Status != tenant.Draining {
			return err // it was resumed meanwhile
		}
		t.Status = tenant.Suspended
		t, err = setSuspension(ctx, q, t, locked.Followed)
		return err
	})
	return t, 0, err
}

// FollowSuspension notes that the workflow has done what follows from where the suspension of a version of the tenant
// stands. When the tenant was changed meanwhile, the workflow is told to look again.
func (s *Store) FollowSuspension(ctx context.Context, tenantID string, version int64) error {
	return translate("follow suspension", s.q.FollowSuspension(ctx, tenantID, version))
}

// Unfollowed lists tenants whose suspension was changed before an instant, and not followed by their workflow.
func (s *Store) Unfollowed(ctx context.Context, before time.Time) ([]string, error) {
	ids, err := s.q.ListUnfollowed(ctx, before)
	return ids, translate("list unfollowed suspensions", err)
}

// Suspended lists the tenants of whom nothing goes out.
func (s *Store) Suspended(ctx context.Context) ([]string, error) {
	ids, err := s.q.ListSuspended(ctx)
	return ids, translate("list suspended tenants", err)
}

// RunningBulkSends lists the bulk sends of a tenant that are not finished, oldest first.
func (s *Store) RunningBulkSends(ctx context.Context, tenantID string) ([]uuid.UUID, error) {
	ids, err := s.q.ListRunningBulkSends(ctx, tenantID)
	return ids, translate("list running bulk sends", err)
}

// undoAttempts takes attempts back that were stopped before their hand-over, and gives the other outcomes.
func (s *Store) undoAttempts(ctx context.Context, tenantID string, outcomes []Outcome) ([]Outcome, error) {
	stopped := func(o Outcome) bool { return o.Stopped }
	if !slices.ContainsFunc(outcomes, stopped) {
		return outcomes, nil
	}
	p := db.UndoAttemptsParams{TenantID: tenantID, Now: time.Now()}
	for _, o := range outcomes {
		if o.Stopped {
			p.Ids, p.Numbers = append(p.Ids, o.RecipientID), append(p.Numbers, int32(o.Number))
			p.Reasons, p.Details = append(p.Reasons, o.Reason), append(p.Details, o.Reply)
		}
	}
	return slices.DeleteFunc(slices.Clone(outcomes), stopped), s.q.UndoAttempts(ctx, p)
}
