package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/compose"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Suspension says why a tenant does not send. It sends when both are null.
type Suspension struct {
	Operator  *SuspensionFlag `json:"operator" doc:"An operator has suspended it; null: none has"`
	Guardrail *SuspensionFlag `json:"guardrail" doc:"A guardrail has, since too much bounced or was complained about; null: none has"`
}

// SuspensionFlag is since when and why.
type SuspensionFlag struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason" example:"invoices are not paid"`
	Drain  bool      `json:"drain" doc:"What was queued before goes out first; meanwhile the status is draining"`
}

// TransformSchema says that wherever there is a SuspensionFlag there may be null.
func (SuspensionFlag) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema { return orNull(s) }

// SuspendTenant says why a tenant is suspended, and how.
type SuspendTenant struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"One line; the tenant reads it in its event tenant.suspended" example:"invoices are not paid"`
	Drain  bool   `json:"drain,omitempty" doc:"Let what is queued go out first; false: nothing more leaves within 2 seconds"`
}

// ResumeTenant says which suspension ends.
type ResumeTenant struct {
	Only string `json:"only,omitempty" enum:"operator,guardrail" doc:"End the suspension by this one, and leave the other as it is; absent: end both"`
}

func (s *Server) registerSuspension() {
	tags := []string{"Tenants"}
	register(s, forOperators(apikey.TenantsWrite), huma.Operation{
		OperationID: "suspend-tenant", Method: http.MethodPost, Path: "/tenants/{id}/suspend", Tags: tags,
		Summary: "Suspend a tenant", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "From the answer on, nothing more is accepted from the tenant: 403 `tenant_suspended`; everything but sending works as before. " +
			"Mail that was accepted waits in order, and goes out when the tenant is resumed. With `drain`, what is queued goes out first; " +
			"what is scheduled, held or waits for another attempt does not count. Doing it again changes the reason, and ends a drain " +
			"when `drain` is false then.",
	}, s.suspendTenant)
	register(s, forOperators(apikey.TenantsWrite), huma.Operation{
		OperationID: "resume-tenant", Method: http.MethodPost, Path: "/tenants/{id}/resume", Tags: tags,
		Summary: "End the suspension of a tenant", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "The tenant sends again, unless `only` has left one of its two suspensions. What waits goes out, the oldest first. " +
			"For a tenant that is not suspended nothing changes.",
	}, s.resumeTenant)
}

func (s *Server) suspendTenant(ctx context.Context, in *struct {
	TenantPath
	Body SuspendTenant
},
) (*resource[Tenant], error) {
	if err := checkReason(in.Body.Reason); err != nil {
		return nil, err
	}
	f := tenant.Flag{Since: time.Now(), Reason: in.Body.Reason, Drain: in.Body.Drain}
	t, err := s.Store.Suspend(ctx, in.ID, tenant.Operator, f)
	return s.followed(ctx, t, err)
}

func checkReason(reason string) error {
	if code, message := compose.CheckLine(reason); code != "" {
		return fault.InvalidFields(fault.Field{Location: "body.reason", Code: code, Message: message})
	}
	if strings.TrimSpace(reason) == "" {
		return fault.InvalidFields(fault.Field{Location: "body.reason", Code: "invalid_value", Message: "must not be blank"})
	}
	return nil
}

func (s *Server) resumeTenant(ctx context.Context, in *struct {
	TenantPath
	Body *ResumeTenant
},
) (*resource[Tenant], error) {
	which := tenant.Suspenders
	if in.Body != nil && in.Body.Only != "" {
		which = []tenant.Suspender{tenant.Suspender(in.Body.Only)}
	}
	t, err := s.Store.Resume(ctx, in.ID, which...)
	return s.followed(ctx, t, err)
}

// followWait is how long a request tries to tell the workflow of a suspension. When that is not done in time, it is done later.
const followWait = 2 * time.Second

// followed answers with a tenant whose suspension was changed, and has the workflow follow.
func (s *Server) followed(ctx context.Context, t tenant.Tenant, err error) (*resource[Tenant], error) {
	if err != nil {
		return nil, err
	}
	s.known.forget()
	ctx = telemetry.WithTenant(ctx, t.ID)
	wait, cancel := context.WithTimeout(ctx, followWait)
	defer cancel()
	if err := s.Flow.FollowSuspension(wait, t.ID); err != nil {
		s.log.WarnContext(ctx, "suspension is followed by the next sweep", slog.Any("error", err))
	}
	return newResource(showTenant(t))
}

func showSuspension(s tenant.Suspension) Suspension {
	return Suspension{Operator: showFlag(s.Operator), Guardrail: showFlag(s.Guardrail)}
}

func showFlag(f *tenant.Flag) *SuspensionFlag {
	if f == nil {
		return nil
	}
	return &SuspensionFlag{Since: f.Since.UTC(), Reason: f.Reason, Drain: f.Drain}
}
