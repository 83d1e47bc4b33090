package apiserver

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

// access is who may call an operation.
type access uint8

const (
	operatorAccess access = iota // operator keys only
	tenantAccess                 // a tenant key, or an operator key with X-Tenant-ID
)

type callerKey struct{}

// caller is the tenant that an authenticated request speaks for; the zero Tenant on
// operations for operators.
func caller(ctx context.Context) tenant.Tenant {
	t, _ := ctx.Value(callerKey{}).(tenant.Tenant)
	return t
}

// authenticate lets a request pass only with a key that may call the operation.
func (s *Server) authenticate(access access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		t, err := s.authorize(hc.Context(), access, hc.Header("Authorization"), hc.Header("X-Tenant-ID"))
		if err != nil {
			_, w := humachi.Unwrap(hc)
			writeProblem(w, s.problem(hc.Context(), err))
			return
		}
		ctx := hc.Context()
		if access == tenantAccess {
			ctx = telemetry.WithTenant(ctx, t.ID)
		}
		next(huma.WithContext(hc, context.WithValue(ctx, callerKey{}, t)))
	}
}

func (s *Server) authorize(ctx context.Context, access access, authorization, tenantID string) (tenant.Tenant, error) {
	credential, err := s.credential(ctx, authorization)
	if err != nil {
		return tenant.Tenant{}, err
	}
	operator := credential.TenantID == ""
	switch {
	case access == operatorAccess && !operator:
		return tenant.Tenant{}, fault.New(fault.Forbidden, "operator_required", "This operation needs an operator key.")
	case access == operatorAccess:
		return tenant.Tenant{}, nil
	case operator && tenantID == "":
		return tenant.Tenant{}, fault.New(fault.Malformed, "tenant_required", "An operator key needs the header X-Tenant-ID on this operation.")
	case !operator && tenantID != "" && tenantID != credential.TenantID:
		return tenant.Tenant{}, fault.New(fault.Forbidden, "tenant_mismatch", "The key belongs to another tenant than X-Tenant-ID says.")
	case !operator:
		tenantID = credential.TenantID
	}
	return s.known.tenant(ctx, tenantID)
}

// errKey is the same for every key that is not good, so that it tells nothing.
var errKey = fault.New(fault.Unauthenticated, "invalid_key", "The API key is not valid.")

// credential finds and checks the key of an Authorization header (RFC 6750 §2.1).
func (s *Server) credential(ctx context.Context, authorization string) (store.Credential, error) {
	scheme, text, ok := strings.Cut(authorization, " ")
	if authorization == "" || !ok || !strings.EqualFold(scheme, "Bearer") {
		return store.Credential{}, fault.New(fault.Unauthenticated, "key_required", "Send an API key as Authorization: Bearer <key>.")
	}
	key, ok := apikey.Parse(strings.TrimSpace(text))
	if !ok {
		return store.Credential{}, errKey
	}
	c, err := s.known.credential(ctx, key.Prefix)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return c, errKey
	}
	if err != nil {
		return c, err
	}
	if !key.Matches(c.Hash) || c.Revoked || (c.TenantID == "") != (key.Kind == apikey.Operator) || c.TenantStatus == tenant.Deleting {
		return c, errKey
	}
	return c, nil
}

// noSuch is for ids that are not of the form of the resource: they can not exist.
func noSuch(code, what string) error {
	return fault.New(fault.NotFound, code, "There is no such %s.", what)
}
