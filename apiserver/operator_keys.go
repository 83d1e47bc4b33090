package apiserver

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/id"
)

func (s *Server) registerOperatorKeys() {
	tags := []string{"Operator Keys"}
	register(s, forOperators(apikey.KeysWrite), s.createsSecret(huma.Operation{
		OperationID: "create-operator-key", Method: http.MethodPost, Path: "/operator-keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create an operator key",
	}), s.createOperatorKey)
	register(s, forOperators(apikey.KeysRead), huma.Operation{
		OperationID: "list-operator-keys", Method: http.MethodGet, Path: "/operator-keys", Tags: tags, Summary: "List operator keys",
	}, s.listOperatorKeys)
	register(s, forOperators(apikey.KeysRead), huma.Operation{
		OperationID: "get-operator-key", Method: http.MethodGet, Path: "/operator-keys/{id}", Tags: tags,
		Summary: "Get an operator key", Errors: []int{http.StatusNotFound},
	}, s.getOperatorKey)
	register(s, forOperators(apikey.KeysWrite), huma.Operation{
		OperationID: "revoke-operator-key", Method: http.MethodDelete, Path: "/operator-keys/{id}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Summary: "Revoke an operator key", Errors: []int{http.StatusNotFound},
	}, s.revokeOperatorKey)
	register(s, forOperators(apikey.KeysWrite), s.createsSecret(huma.Operation{
		OperationID: "rotate-operator-key", Method: http.MethodPost, Path: "/operator-keys/{id}/rotate", Tags: tags,
		DefaultStatus: http.StatusCreated, Summary: "Replace an operator key by a new one", Errors: []int{http.StatusNotFound},
		Description: rotation,
	}), s.rotateOperatorKey)
}

func (s *Server) createOperatorKey(ctx context.Context, in *struct{ Body CreateAPIKey }) (*body[NewAPIKey], error) {
	key, err := in.Body.key(ctx, apikey.Operator)
	if err != nil {
		return nil, err
	}
	created, err := s.Store.CreateOperatorKey(ctx, key, keepKey(ctx, key.Key)...)
	return newAPIKey(created, key.Key, err)
}

func (s *Server) rotateOperatorKey(ctx context.Context, in *struct {
	KeyPath
	Body *RotateAPIKey
},
) (*body[NewAPIKey], error) {
	r, err := in.Body.rotation(ctx, in.KeyPath, apikey.Operator)
	if err != nil {
		return nil, err
	}
	defer s.known.forget()
	created, err := s.Store.RotateOperatorKey(ctx, r, keepKey(ctx, r.New)...)
	return newAPIKey(created, r.New, err)
}

func (s *Server) listOperatorKeys(ctx context.Context, in *Page) (*body[list[APIKey]], error) {
	items, next, err := s.Store.ListOperatorKeys(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showAPIKey), nil
}

func (s *Server) revokeOperatorKey(ctx context.Context, in *struct {
	KeyPath
	IfMatchHeader
},
) (*struct{}, error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	defer s.known.forget()
	return nil, s.Store.RevokeOperatorKey(ctx, keyID, in.allowsKey)
}
