package apiserver

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
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
	callerKey     struct{}
	credentialKey struct{}
)

// caller is the tenant that an authenticated request speaks for; the zero Tenant on
// operations for operators.
func caller(ctx context.Context) tenant.Tenant {
	t, _ := ctx.Value(callerKey{}).(tenant.Tenant)
	return t
}

// used is the key of an authenticated request.
func used(ctx context.Context) store.Credential {
	c, _ := ctx.Value(credentialKey{}).(store.Credential)
	return c
}

// noteHeader is what an operator says about a request, for the audit log.
const noteHeader = "X-Audit-Note"

const maxNote = 200 // characters

// asActor has the audit log say whose key a request has, and what he says about it.
func asActor(ctx context.Context, c store.Credential, note string) context.Context {
	kind := audit.TenantKey
	if c.TenantID == "" {
		kind = audit.OperatorKey
		ctx = audit.WithNote(ctx, printable(note, maxNote))
	}
	return audit.WithActor(ctx, audit.Actor{Kind: kind, ID: id.APIKey.Format(c.ID)})
}

// printable is a text without what is not printable ASCII, and no longer than that.
func printable(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), longest)]
}

// authenticate lets a request pass only with a key that may call the operation.
func (s *Server) authenticate(access access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		t, credential, err := s.authorize(hc.Context(), access, hc.Header("Authorization"), hc.Header("X-Tenant-ID"))
		if err != nil {
			_, w := humachi.Unwrap(hc)
			writeProblem(w, s.problem(hc.Context(), err))
			return
		}
		ctx := context.WithValue(hc.Context(), credentialKey{}, credential)
		ctx = asActor(ctx, credential, hc.Header(noteHeader))
		if !access.operators {
			ctx = telemetry.WithTenant(ctx, t.ID)
		}
		next(huma.WithContext(hc, context.WithValue(ctx, callerKey{}, t)))
	}
}

func (s *Server) authorize(
	ctx context.Context, access access, authorization, tenantID string,
) (t tenant.Tenant, credential store.Credential, err error) {
	if credential, err = s.credential(ctx, authorization); err != nil {
		return t, credential, err
	}
	if s.uses != nil {
		s.uses.add(credential.ID)
	}
	if tenantID, err = access.tenantOf(credential, tenantID); err != nil {
		return t, credential, err
	}
	if !credential.Grant.Allows(access.scope) {
		return t, credential, errScope(access.scope)
	}
	if !access.operators {
		t, err = s.known.tenant(ctx, tenantID)
	}
	return t, credential, err
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

// noSuch is for ids that are not of the form of the resource: they can not exist.
func noSuch(code, what string) error {
	return fault.New(fault.NotFound, code, "There is no such %s.", what)
}
