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
)

// TenantDeletion shows how far the deletion of a tenant is; it outlives the tenant.
type TenantDeletion struct {
	ID         string           `json:"id" example:"del_01h455vb4pex5vsknk084sn02q"`
	TenantID   string           `json:"tenantId" example:"acme-corp"`
	Status     string           `json:"status" enum:"running,completed"`
	Rows       map[string]int64 `json:"rows" doc:"Rows deleted so far, by table"`
	Workflow   *Workflow        `json:"workflow,omitempty"`
	CreatedAt  time.Time        `json:"createdAt"`
	FinishedAt *time.Time       `json:"finishedAt" doc:"Since then nothing of the tenant is left; null while it is running"`
}

func (s *Server) registerTenantDeletions() {
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "get-tenant-deletion", Method: http.MethodGet, Path: "/tenant-deletions/{id}", Tags: []string{"Tenants"},
		Summary: "See how far a deletion is", Errors: []int{http.StatusNotFound},
	}, s.getTenantDeletion)
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
	shown := showDeletion(d)
	shown.Workflow = s.workflow(flow.DeleteTenantID(d.TenantID), d.RunID)
	return newResource(shown)
}

func showDeletion(d store.Deletion) TenantDeletion {
	status := "running"
	if d.Completed {
		status = "completed"
	}
	return TenantDeletion{
		ID: id.Deletion.Format(d.ID), TenantID: d.TenantID, Status: status, Rows: d.Rows,
		CreatedAt: d.CreatedAt.UTC(), FinishedAt: utc(d.FinishedAt),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
