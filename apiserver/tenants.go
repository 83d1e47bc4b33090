package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Tenant is a tenant as the API shows it.
type Tenant struct {
	ID         string          `json:"id" example:"acme-corp"`
	Name       string          `json:"name" example:"acme-corp"`
	Domain     string          `json:"domain" example:"acme.com"`
	Status     string          `json:"status" enum:"provisioning,active,draining,suspended,deleting" doc:"draining: nothing more is accepted, and what was queued goes out; suspended: nothing goes out either"`
	Suspension Suspension      `json:"suspension"`
	Settings   tenant.Settings `json:"settings"`
	CreatedAt  time.Time       `json:"createdAt"`
	UpdatedAt  time.Time       `json:"updatedAt"`
}

// CreateTenant is a tenant to be created.
type CreateTenant struct {
	ID       string          `json:"id,omitempty" maxLength:"63" doc:"Slug of a-z, 0-9 and -; derived from name when it is absent; never changes" example:"acme-corp"`
	Name     string          `json:"name" minLength:"1" maxLength:"200" example:"acme-corp"`
	Domain   string          `json:"domain" minLength:"1" maxLength:"253" doc:"The domain of the tenant's sender addresses" example:"acme.com"`
	Settings tenant.Settings `json:"settings,omitempty"`
}

// UpdateTenant is a merge patch (RFC 7396): absent members stay, null takes a setting back to its default.
type UpdateTenant struct {
	Name     string          `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Domain   string          `json:"domain,omitempty" minLength:"1" maxLength:"253"`
	Settings tenant.Settings `json:"settings,omitempty"`
}

// TenantPath is the path of a tenant.
type TenantPath struct {
	ID string `path:"id" maxLength:"63" doc:"Id of the tenant" example:"acme-corp"`
}

func (s *Server) registerTenants() {
	tags := []string{"Tenants"}
	register(s, forOperators(apikey.TenantsWrite), s.creates(huma.Operation{
		OperationID: "create-tenant", Method: http.MethodPost, Path: "/tenants", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a tenant", Errors: []int{http.StatusConflict},
		Description: "The answer has the status that the tenant reached while the request waited: active, unless the workflow engine is away.",
	}), s.createTenant)
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "list-tenants", Method: http.MethodGet, Path: "/tenants", Tags: tags, Summary: "List tenants",
		Description: "With where each of them stands, made every few seconds. A tenant that changes its place while a list that is sorted by " +
			"that is paged through may come twice or not at all.",
	}, s.listTenants)
	register(s, forOperators(apikey.TenantsRead), huma.Operation{
		OperationID: "get-tenant", Method: http.MethodGet, Path: "/tenants/{id}", Tags: tags,
		Summary: "Get a tenant", Errors: []int{http.StatusNotFound},
	}, s.getTenant)
	register(s, forOperators(apikey.TenantsWrite), huma.Operation{
		OperationID: "update-tenant", Method: http.MethodPatch, Path: "/tenants/{id}", Tags: tags,
		Summary: "Change a tenant", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "A merge patch (RFC 7396): what is absent stays as it is, null takes a setting back to its default. " +
			"Limits take effect on running sends.",
	}, s.updateTenant)
}

// provisionWait is how long creating a tenant waits for it to become active.
const provisionWait = 5 * time.Second

func (s *Server) createTenant(ctx context.Context, in *struct{ Body CreateTenant }) (*resource[Tenant], error) {
	t := tenant.Tenant{ID: in.Body.ID, Name: in.Body.Name, Domain: in.Body.Domain, Settings: in.Body.Settings.WithDefaults()}
	location := "body.id"
	if t.ID == "" {
		t.ID, location = tenant.Slug(t.Name), "body.name"
	}
	if f, ok := fault.As(tenant.CheckID(t.ID)); ok {
		return nil, fault.InvalidFields(fault.Field{Location: location, Code: f.Code, Message: f.Detail})
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if err := s.checkTracking(t); err != nil {
		return nil, err
	}
	keep := keepCreated(ctx, func(t tenant.Tenant) (any, error) { return showTenant(t), nil })
	t, err := s.Store.CreateTenant(ctx, t, keep...)
	if err != nil {
		return nil, err
	}
	amendAnswer(ctx) // with the status that it reaches
	s.provision(telemetry.WithTenant(ctx, t.ID), &t)
	return newResource(showTenant(t))
}

// provision has the tenant set up. When that is not done in time, it is done later.
func (s *Server) provision(ctx context.Context, t *tenant.Tenant) {
	wait, cancel := context.WithTimeout(ctx, provisionWait)
	defer cancel()
	if err := s.Flow.ProvisionTenant(wait, t.ID); err != nil {
		s.log.WarnContext(ctx, "provisioning goes on without the request", slog.Any("error", err))
		return
	}
	s.known.forget()
	if now, err := s.Store.Tenant(ctx, t.ID); err == nil {
		*t = now
	}
}

func (s *Server) getTenant(ctx context.Context, in *struct {
	TenantPath
	IfNoneMatchHeader
},
) (*resource[Tenant], error) {
	t, err := s.Store.Tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return newResource(showTenant(t))
}

type updateTenantInput struct {
	TenantPath
	IfMatchHeader
	RawBody []byte
	Body    UpdateTenant
}

func (s *Server) updateTenant(ctx context.Context, in *updateTenantInput) (*resource[Tenant], error) {
	ctx = telemetry.WithTenant(ctx, in.ID)
	defer s.known.forget()
	verified, err := s.Store.SenderDomains(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t, err := s.Store.UpdateTenant(ctx, in.ID, func(t *tenant.Tenant) error {
		if err := in.allows(showTenant(*t)); err != nil {
			return err
		}
		if err := mergeTenant(t, in.RawBody, verified); err != nil {
			return err
		}
		return s.checkTracking(*t)
	})
	if err != nil {
		return nil, err
	}
	bulkSends, err := s.Store.Rehold(ctx, t.ID, time.Now())
	if err != nil {
		return nil, err
	}
	s.tellOfLimits(ctx, t, bulkSends)
	return newResource(showTenant(t))
}

// tellOfLimits brings changed limits to what runs. When Temporal is away, sends find out with
// their next lease, and bulk sends, whose held lines may have other days, when they look again.
func (s *Server) tellOfLimits(ctx context.Context, t tenant.Tenant, bulkSends []uuid.UUID) {
	if err := s.Flow.SetLimits(ctx, t.ID, flow.SetLimitsInput{Version: t.Version, Rate: t.Settings.Rate()}); err != nil {
		s.log.WarnContext(ctx, "changed limits reach running sends with their next lease", slog.Any("error", err))
	}
	for _, bulkSend := range bulkSends {
		if err := s.Flow.TellBulkSend(ctx, t.ID, bulkSend, flow.ResumeSignal); err != nil {
			s.log.WarnContext(ctx, "changed limits reach bulk sends later", slog.Any("error", err))
			return
		}
	}
}

// mergeTenant applies a merge patch to what the API lets change of a tenant.
func mergeTenant(t *tenant.Tenant, patch []byte, verified []string) error {
	doc := struct {
		Name     string          `json:"name"`
		Domain   string          `json:"domain"`
		Settings tenant.Settings `json:"settings"`
	}{t.Name, t.Domain, t.Settings}
	before, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, patch)
	if err != nil {
		return fault.Wrap(err, fault.Malformed, "malformed_request", "The body is not a merge patch.")
	}
	doc.Name, doc.Domain, doc.Settings = "", "", tenant.Settings{}
	decoder := json.NewDecoder(bytes.NewReader(after))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return fault.Wrap(err, fault.Invalid, "validation_failed", "The patched tenant is not valid.")
	}
	t.Name, t.Domain, t.Settings = doc.Name, doc.Domain, doc.Settings.WithDefaults()
	return t.Validate(verified...)
}

func showTenant(t tenant.Tenant) Tenant {
	return Tenant{
		ID: t.ID, Name: t.Name, Domain: t.Domain, Status: string(t.Status),
		Suspension: showSuspension(t.Suspension), Settings: t.Settings,
		CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
	}
}
