package apiserver

import (
	"context"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

func (s *Server) getAPIKey(ctx context.Context, in *struct {
	TenantHeader
	KeyPath
	IfNoneMatchHeader
},
) (*resource[APIKey], error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	k, err := s.Store.TenantKey(ctx, caller(ctx).ID, keyID)
	return keyResource(k, err)
}

func (s *Server) getOperatorKey(ctx context.Context, in *struct {
	KeyPath
	IfNoneMatchHeader
},
) (*resource[APIKey], error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	k, err := s.Store.OperatorKey(ctx, keyID)
	return keyResource(k, err)
}

func keyResource(k store.APIKey, err error) (*resource[APIKey], error) {
	if err != nil {
		return nil, err
	}
	tag, err := tagOf(showTagged(k))
	return &resource[APIKey]{tag, showAPIKey(k)}, err
}

// showTagged is what the tag of a key is of: that it was used is no change of it.
func showTagged(k store.APIKey) APIKey {
	k.LastUsedAt = nil
	return showAPIKey(k)
}

func (h *IfMatchHeader) allowsKey(k store.APIKey) error { return h.allows(showTagged(k)) }
