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
	register(s, operatorAccess, s.createsSecret(huma.Operation{
		OperationID: "create-operator-key", Method: http.MethodPost, Path: "/operator-keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create an operator key",
	}), s.createOperatorKey)
	register(s, operatorAccess, huma.Operation{
		OperationID: "list-operator-keys", Method: http.MethodGet, Path: "/operator-keys", Tags: tags, Summary: "List operator keys",
	}, s.listOperatorKeys)
	register(s, operatorAccess, huma.Operation{
		OperationID: "revoke-operator-key", Method: http.MethodDelete, Path: "/operator-keys/{id}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Summary: "Revoke an operator key", Errors: []int{http.StatusNotFound},
	}, s.revokeOperatorKey)
}

func (s *Server) createOperatorKey(ctx context.Context, in *struct{ Body CreateAPIKey }) (*body[NewAPIKey], error) {
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	key := apikey.New(apikey.Operator)
	created, err := s.Store.CreateOperatorKey(ctx, in.Body.Name, key)
	if err != nil {
		return nil, err
	}
	return &body[NewAPIKey]{NewAPIKey{APIKey: showAPIKey(created), Key: key.Text()}}, nil
}

func (s *Server) listOperatorKeys(ctx context.Context, in *Page) (*body[list[APIKey]], error) {
	items, next, err := s.Store.ListOperatorKeys(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showAPIKey), nil
}

func (s *Server) revokeOperatorKey(ctx context.Context, in *KeyPath) (*struct{}, error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	defer s.known.forget()
	return nil, s.Store.RevokeOperatorKey(ctx, keyID)
}
