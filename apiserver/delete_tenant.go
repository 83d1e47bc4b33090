package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

func (s *Server) registerDeleteTenant() {
	tags := []string{"Tenants"}
	register(s, forOperators(apikey.TenantsWrite), huma.Operation{
		OperationID: "delete-tenant", Method: http.MethodDelete, Path: "/tenants/{id}", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Delete a tenant and everything of it", Errors: []int{http.StatusNotFound},
		Description: "At once its keys are refused, its sends stop, and its tracking links answer 404. With `grace` nothing is deleted before its end, " +
			"and until then the tenant can be restored; without, there is no return. The deletion in the answer shows how far it is. " +
			"For a tenant that is being deleted already that is the deletion under way, whatever If-Match says: a `grace` that ends earlier than " +
			"its own shortens it, and one that ends later, or none, changes nothing.",
	}, s.deleteTenant)
	register(s, forOperators(apikey.TenantsWrite), huma.Operation{
		OperationID: "restore-tenant", Method: http.MethodPost, Path: "/tenants/{id}/restore", Tags: tags,
		Summary: "Restore a tenant that is in the grace of its deletion", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "The tenant is as it was: its status, its keys, and the mail that waited goes on. Conflicts: `tenant_not_deleting`; " +
			"`deletion_not_reversible` when the grace is over, or there was none.",
	}, s.restoreTenant)
}

// maxGrace is the longest grace of a deletion.
const maxGrace = 30 * 24 * time.Hour

type deleteTenantInput struct {
	TenantPath
	IfMatchHeader
	Grace string `query:"grace" maxLength:"40" doc:"How long the tenant can be restored, from 0s to 720h, as numbers with the units h, m and s; rounded up to whole seconds; absent: not at all" example:"72h"`
}

func (in *deleteTenantInput) grace() (*time.Duration, error) {
	if in.Grace == "" {
		return nil, nil //nolint:nilnil // absent is a value of its own
	}
	grace, err := time.ParseDuration(in.Grace)
	switch {
	case err != nil:
		return nil, graceFault("must be a duration of numbers with units, such as 72h or 1h30m")
	case grace < 0 || grace > maxGrace:
		return nil, graceFault("must be from 0s to 720h (30 days)")
	}
	return &grace, nil
}

func graceFault(message string) error {
	return fault.InvalidFields(fault.Field{Location: "query.grace", Code: "invalid_value", Message: message})
}

type deleteTenantOutput struct {
	Location string `header:"Location" doc:"Path of the deletion"`
	Body     TenantDeletion
}

func (s *Server) deleteTenant(ctx context.Context, in *deleteTenantInput) (*deleteTenantOutput, error) {
	grace, err := in.grace()
	if err != nil {
		return nil, err
	}
	d, err := s.Store.BeginDeletion(ctx, in.ID, grace, func(t tenant.Tenant) error { return in.allows(showTenant(t)) })
	s.known.forget()
	if err != nil {
		return nil, err
	}
	ctx = telemetry.WithTenant(ctx, in.ID)
	if d.RunID == "" {
		s.startDeletion(ctx, &d)
	} else if grace != nil {
		s.tellDeletion(ctx, d)
	}
	return &deleteTenantOutput{
		Location: prefix + "/tenant-deletions/" + id.Deletion.Format(d.ID),
		Body:     showDeletion(d),
	}, nil
}

// startDeletion starts the workflow behind a fence that is set. When Temporal is away,
// the next sweep starts it.
func (s *Server) startDeletion(ctx context.Context, d *store.Deletion) {
	runID, err := s.Flow.StartDeleteTenant(ctx, d.TenantID, d.ID)
	if err == nil {
		d.RunID = runID
		err = s.Store.SetDeletionRun(ctx, d.ID, runID)
	}
	if err != nil {
		s.log.WarnContext(ctx, "deletion is started by the next sweep", slog.Any("error", err))
	}
}

// tellDeletion has the workflow look at the row. Without that it looks at the end of the grace that it knows.
func (s *Server) tellDeletion(ctx context.Context, d store.Deletion) {
	wait, cancel := context.WithTimeout(ctx, followWait)
	defer cancel()
	if err := s.Flow.TellDeletion(wait, d.TenantID, d.ID); err != nil {
		s.log.WarnContext(ctx, "workflow of the deletion looks at its grace later", slog.Any("error", err))
	}
}

func (s *Server) restoreTenant(ctx context.Context, in *struct {
	TenantPath
	IfMatchHeader
},
) (*resource[Tenant], error) {
	t, d, err := s.Store.RestoreTenant(ctx, in.ID, func(t tenant.Tenant) error { return in.allows(showTenant(t)) })
	s.known.forget()
	if err != nil {
		return nil, err
	}
	s.tellDeletion(telemetry.WithTenant(ctx, in.ID), d)
	return s.followed(ctx, t, nil) // what has waited for the end of a suspension is what has waited here
}
