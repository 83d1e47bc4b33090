package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// TenantDeletion shows how far the deletion of a tenant is; it outlives the tenant.
type TenantDeletion struct {
	ID          string                   `json:"id" example:"del_01h455vb4pex5vsknk084sn02q"`
	TenantID    string                   `json:"tenantId" example:"acme-corp"`
	Status      string                   `json:"status" enum:"scheduled,running,completed,restored" doc:"scheduled: its grace goes on, and nothing is deleted yet; restored: the tenant was"`
	GraceEndsAt *time.Time               `json:"graceEndsAt" doc:"Until then the tenant can be restored; null: it never could"`
	Progress    map[string]TableProgress `json:"progress" doc:"By table"`
	Receipt     *DeletionReceipt         `json:"receipt" doc:"What was deleted; null until it is completed"`
	Workflow    *Workflow                `json:"workflow,omitempty"`
	CreatedAt   time.Time                `json:"createdAt"`
	StartedAt   *time.Time               `json:"startedAt" doc:"Since then there is no return; null: there still is, or was when the tenant was restored"`
	FinishedAt  *time.Time               `json:"finishedAt" doc:"Since then it is completed or restored; null until then"`
}

// TableProgress is how far the deletion of a table's rows is.
type TableProgress struct {
	Deleted int64  `json:"deleted" doc:"Rows deleted so far"`
	Total   *int64 `json:"total" doc:"Rows that there were when the deletion began; more may be deleted. null: they are not counted yet, or never are"`
}

// DeletionReceipt is the receipt of a deletion that is completed.
type DeletionReceipt tenant.Receipt

// TransformSchema says that wherever there is a DeletionReceipt there may be null.
func (DeletionReceipt) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return orNull(s)
}

func (s *Server) registerTenantDeletions() {
	tags := []string{"Tenants"}
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "list-tenant-deletions", Method: http.MethodGet, Path: "/tenant-deletions", Tags: tags, Summary: "List deletions of tenants",
	}, s.listTenantDeletions)
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "get-tenant-deletion", Method: http.MethodGet, Path: "/tenant-deletions/{id}", Tags: tags,
		Summary: "See how far a deletion is", Errors: []int{http.StatusNotFound},
	}, s.getTenantDeletion)
}

func (s *Server) listTenantDeletions(ctx context.Context, in *struct {
	Page
	TenantID string `query:"tenantId" maxLength:"63" doc:"Only deletions of tenants with this id" example:"acme-corp"`
	Status   string `query:"status" enum:"scheduled,running,completed,restored" doc:"Only deletions that stand there"`
},
) (*body[list[TenantDeletion]], error) {
	filter := store.DeletionFilter{TenantID: in.TenantID, Status: store.DeletionStatus(in.Status)}
	items, next, err := s.Store.ListDeletions(ctx, filter, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, s.showDeletionWithRun), nil
}

// DeletionPath is the path of a deletion.
type DeletionPath struct {
	ID string `path:"id" maxLength:"40" example:"del_01h455vb4pex5vsknk084sn02q"`
}

func (s *Server) getTenantDeletion(ctx context.Context, in *struct {
	DeletionPath
	IfNoneMatchHeader
},
) (*resource[TenantDeletion], error) {
	deletionID, err := id.Deletion.Parse(in.ID)
	if err != nil {
		return nil, noSuch("deletion_not_found", "tenant deletion")
	}
	d, err := s.Store.Deletion(ctx, deletionID)
	if err != nil {
		return nil, err
	}
	return newResource(s.showDeletionWithRun(d))
}

func (s *Server) showDeletionWithRun(d store.Deletion) TenantDeletion {
	shown := showDeletion(d)
	shown.Workflow = s.workflow(flow.DeleteTenantID(d.TenantID, d.ID), d.RunID)
	return shown
}

func showDeletion(d store.Deletion) TenantDeletion {
	shown := TenantDeletion{
		ID: id.Deletion.Format(d.ID), TenantID: d.TenantID, Status: string(d.Status), GraceEndsAt: utc(d.GraceEndsAt),
		Progress: map[string]TableProgress{}, CreatedAt: d.CreatedAt.UTC(), StartedAt: utc(d.StartedAt), FinishedAt: utc(d.FinishedAt),
	}
	for table, total := range d.Totals {
		shown.Progress[table] = TableProgress{Total: &total}
	}
	for table, deleted := range d.Rows {
		shown.Progress[table] = TableProgress{Deleted: deleted, Total: shown.Progress[table].Total}
	}
	if d.Receipt != nil {
		receipt := DeletionReceipt(*d.Receipt)
		shown.Receipt = &receipt
	}
	return shown
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
