package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
)

func (s *Server) registerEmailChanges() {
	tags := []string{"Emails"}
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "cancel-email", Method: http.MethodPost, Path: "/emails/{id}/cancel", Tags: tags,
		Summary: "Cancel what of an email is not sent yet", Errors: []int{http.StatusConflict},
		Description: "Recipients that are scheduled, held, queued or deferred become cancelled, and what was never tried counts no longer " +
			"against the daily limit. A hand-over that is under way goes on.",
	}, s.cancelEmail)
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "reschedule-email", Method: http.MethodPatch, Path: "/emails/{id}", Tags: tags,
		Summary: "Change when a scheduled email is sent", Errors: []int{http.StatusConflict, http.StatusTooManyRequests},
		Description: "For an email that is scheduled or held. A time in the past means at once.",
	}, s.rescheduleEmail)
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "retry-email", Method: http.MethodPost, Path: "/emails/{id}/retry", Tags: tags,
		Summary: "Try an email again now", Errors: []int{http.StatusConflict},
		Description: "For recipients that are deferred, failed, expired, or unknown (cut off before the answer, and held): they are sent now, " +
			"under the same Message-ID, and tried for another 72 hours.",
	}, s.retryEmail)
}

type emailInput struct {
	TenantHeader
	EmailPath
}

// emailID reads the id of the path; what is not one can not exist.
func (in *EmailPath) emailID() (uuid.UUID, error) {
	emailID, err := id.Email.Parse(in.ID)
	if err != nil {
		return uuid.Nil, noSuch("email_not_found", "email")
	}
	return emailID, nil
}

func (s *Server) cancelEmail(ctx context.Context, in *emailInput) (*resource[Email], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	dispatch, err := s.Store.Cancel(ctx, caller(ctx).ID, emailID, time.Now())
	if err != nil {
		return nil, err
	}
	s.recheck(ctx, dispatch)
	return s.emailNow(ctx, emailID)
}

// RescheduleEmail is what can be changed of an email.
type RescheduleEmail struct {
	ScheduledAt time.Time `json:"scheduledAt" doc:"Not before this time, at most 30 days ahead"`
}

func (s *Server) rescheduleEmail(ctx context.Context, in *struct {
	TenantHeader
	EmailPath
	IfMatchHeader
	Body RescheduleEmail
},
) (*resource[Email], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if in.Body.ScheduledAt.After(now.Add(maxAhead)) {
		return nil, fault.InvalidFields(fault.Field{Location: "body.scheduledAt", Code: "out_of_range", Message: "at most 30 days from now"})
	}
	e, err := s.Store.Email(ctx, caller(ctx).ID, emailID)
	if err != nil {
		return nil, err
	}
	if e.ExpiresAt != nil && !in.Body.ScheduledAt.Before(*e.ExpiresAt) {
		return nil, fault.InvalidFields(fault.Field{Location: "body.scheduledAt", Code: "out_of_range", Message: "must be before expiresAt"})
	}
	allows := func(e store.EmailRecord) error { return in.allows(s.showEmail(caller(ctx).ID, e)) }
	if err := s.Store.Reschedule(ctx, caller(ctx).ID, emailID, in.Body.ScheduledAt, now, allows); err != nil {
		return nil, err
	}
	return s.emailNow(ctx, emailID)
}

func (s *Server) retryEmail(ctx context.Context, in *emailInput) (*resource[Email], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	pending, before, err := s.Store.Retry(ctx, caller(ctx).ID, emailID, time.Now())
	if err != nil {
		return nil, err
	}
	if s.Resume != nil {
		s.Resume([]intake.Pending{pending})
	}
	s.recheck(ctx, before)
	return s.emailNow(ctx, emailID)
}

// recheck tells a workflow that waits that there may be nothing to wait for any more. When
// Temporal is away, the workflow finds out when it wakes.
func (s *Server) recheck(ctx context.Context, dispatch *uuid.UUID) {
	if dispatch == nil {
		return
	}
	if err := s.Flow.Recheck(ctx, caller(ctx).ID, *dispatch); err != nil {
		s.log.WarnContext(ctx, "send workflow finds out later", slog.Any("error", err))
	}
}

func (s *Server) emailNow(ctx context.Context, emailID uuid.UUID) (*resource[Email], error) {
	e, err := s.Store.Email(ctx, caller(ctx).ID, emailID)
	if err != nil {
		return nil, err
	}
	return newResource(s.showEmail(caller(ctx).ID, e))
}
