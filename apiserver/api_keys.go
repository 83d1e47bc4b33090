package apiserver

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// APIKey is a key without its secret.
type APIKey struct {
	ID        string     `json:"id" example:"key_01h455vb4pex5vsknk084sn02q"`
	Name      string     `json:"name" example:"production"`
	Prefix    string     `json:"prefix" doc:"How the key begins" example:"mt_live_8Zx1y2Qw3Er4…"`
	CreatedAt time.Time  `json:"createdAt"`
	RevokedAt *time.Time `json:"revokedAt" doc:"Since then it is refused; null: it is good"`
}

// NewAPIKey is a key that was just made: the only answer that has the key itself.
type NewAPIKey struct {
	APIKey
	Key string `json:"key" doc:"The key. It is shown this once." example:"mt_live_8Zx1y2Qw3Er4…"`
}

// CreateAPIKey is a key to be made.
type CreateAPIKey struct {
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"What it is for" example:"production"`
}

// check refuses a name that nobody could see.
func (k CreateAPIKey) check() error {
	if strings.TrimSpace(k.Name) != "" {
		return nil
	}
	return fault.InvalidFields(fault.Field{Location: "body.name", Code: "invalid_name", Message: "a name has more than spaces"})
}

// KeyPath is the path of a key.
type KeyPath struct {
	ID string `path:"id" maxLength:"40" example:"key_01h455vb4pex5vsknk084sn02q"`
}

func (s *Server) registerAPIKeys() {
	tags := []string{"API Keys"}
	register(s, tenantAccess, s.createsSecret(huma.Operation{
		OperationID: "create-api-key", Method: http.MethodPost, Path: "/api-keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a key of the tenant",
	}), s.createAPIKey)
	register(s, tenantAccess, huma.Operation{
		OperationID: "list-api-keys", Method: http.MethodGet, Path: "/api-keys", Tags: tags, Summary: "List the tenant's keys",
	}, s.listAPIKeys)
	register(s, tenantAccess, huma.Operation{
		OperationID: "revoke-api-key", Method: http.MethodDelete, Path: "/api-keys/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a key of the tenant",
	}, s.revokeAPIKey)
}

func (s *Server) createAPIKey(ctx context.Context, in *struct {
	TenantHeader
	Body CreateAPIKey
},
) (*body[NewAPIKey], error) {
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	key := apikey.New(apikey.Tenant)
	created, err := s.Store.CreateTenantKey(ctx, caller(ctx).ID, in.Body.Name, key)
	if err != nil {
		return nil, err
	}
	return &body[NewAPIKey]{NewAPIKey{APIKey: showAPIKey(created), Key: key.Text()}}, nil
}

func (s *Server) listAPIKeys(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[APIKey]], error) {
	items, next, err := s.Store.ListTenantKeys(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showAPIKey), nil
}

func (s *Server) revokeAPIKey(ctx context.Context, in *struct {
	TenantHeader
	KeyPath
},
) (*struct{}, error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	defer s.known.forget()
	return nil, s.Store.RevokeTenantKey(ctx, caller(ctx).ID, keyID)
}

func showAPIKey(k store.APIKey) APIKey {
	kind := apikey.Tenant
	if k.TenantID == "" {
		kind = apikey.Operator
	}
	return APIKey{
		ID: id.APIKey.Format(k.ID), Name: k.Name, Prefix: apikey.Shown(kind, k.Prefix),
		CreatedAt: k.CreatedAt.UTC(), RevokedAt: utc(k.RevokedAt),
	}
}
