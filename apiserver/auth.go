package apiserver

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

// access is who may call an operation.
type access struct {
	operators bool // operator keys only; else a tenant key, or an operator key with X-Tenant-ID
	acting    bool // of these, only the latter
	scope     apikey.Scope
}

func forTenants(scope apikey.Scope) access   { return access{scope: scope} }
func forOperators(scope apikey.Scope) access { return access{scope: scope, operators: true} }

// forOperatorsActing is for what reaches beyond the tenant that an operator key speaks for.
func forOperatorsActing(scope apikey.Scope) access { return access{scope: scope, acting: true} }

type (
	callerKey struct{}
	grantKey  struct{}
)

// caller is the tenant that an authenticated request speaks for; the zero Tenant on
// operations for operators.
func caller(ctx context.Context) tenant.Tenant {
	t, _ := ctx.Value(callerKey{}).(tenant.Tenant)
	return t
}

// granted is what the key of an authenticated request may do.
func granted(ctx context.Context) apikey.Grant {
	g, _ := ctx.Value(grantKey{}).(apikey.Grant)
	return g
}

// authenticate lets a request pass only with a key that may call the operation.
func (s *Server) authenticate(access access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		t, grant, err := s.authorize(hc.Context(), access, hc.Header("Authorization"), hc.Header("X-Tenant-ID"))
		if err != nil {
			_, w := humachi.Unwrap(hc)
			writeProblem(w, s.problem(hc.Context(), err))
			return
		}
		ctx := context.WithValue(hc.Context(), grantKey{}, grant)
		if !access.operators {
			ctx = telemetry.WithTenant(ctx, t.ID)
		}
		next(huma.WithContext(hc, context.WithValue(ctx, callerKey{}, t)))
	}
}

func (s *Server) authorize(
	ctx context.Context, access access, authorization, tenantID string,
) (t tenant.Tenant, g apikey.Grant, err error) {
	credential, err := s.credential(ctx, authorization)
	if err != nil {
		return t, nil, err
	}
	if s.uses != nil {
		s.uses.add(credential.ID)
	}
	if tenantID, err = access.tenantOf(credential, tenantID); err != nil {
		return t, nil, err
	}
	if !credential.Grant.Allows(access.scope) {
		return t, nil, errScope(access.scope)
	}
	if !access.operators {
		t, err = s.known.tenant(ctx, tenantID)
	}
	return t, credential.Grant, err
}

// tenantOf is the tenant that a request speaks for.
func (a access) tenantOf(credential store.Credential, asked string) (string, error) {
	operator := credential.TenantID == ""
	switch {
	case (a.operators || a.acting) && !operator:
		return "", fault.New(fault.Forbidden, "operator_required", "This operation needs an operator key.")
	case a.operators:
		return "", nil
	case operator && asked == "":
		return "", fault.New(fault.Malformed, "tenant_required", "An operator key needs the header X-Tenant-ID on this operation.")
	case !operator && asked != "" && asked != credential.TenantID:
		return "", fault.New(fault.Forbidden, "tenant_mismatch", "The key belongs to another tenant than X-Tenant-ID says.")
	case operator:
		return asked, nil
	}
	return credential.TenantID, nil
}

// errScope is for a key that may not do something.
func errScope(missing apikey.Scope) error {
	f := fault.New(fault.Forbidden, "scope_required", "This needs a key with the scope %s.", missing)
	f.Extra = map[string]any{"scope": string(missing)}
	return f
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
	ended := c.Revoked || (c.ExpiresAt != nil && !time.Now().Before(*c.ExpiresAt)) || c.TenantStatus == tenant.Deleting
	if !key.Matches(c.Hash) || ended || (c.TenantID == "") != (key.Kind == apikey.Operator) {
		return c, errKey
	}
	return c, nil
}

// noSuch is for ids that are not of the form of the resource: they can not exist.
func noSuch(code, what string) error {
	return fault.New(fault.NotFound, code, "There is no such %s.", what)
}
