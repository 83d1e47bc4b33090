package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"

	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/track"
)

// trackingKeys derives the keys of links and pictures from a random secret that the
// database keeps.
func trackingKeys(ctx context.Context, s *store.Store) (track.Keys, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	secret, err := s.Secret(ctx, "tracking", fresh)
	if err != nil {
		return track.Keys{}, fmt.Errorf("read the secret of tracked links: %w", err)
	}
	return track.NewKeys(secret), nil
}

// trackingBase is where tracked links are; empty: only at domains of tenants.
func (l listening) trackingBase(listener net.Listener) (string, error) {
	public := l.PublicURL
	if public == "" && l.publicIsOwn {
		public = "http://" + listener.Addr().String()
	}
	if public == "" {
		return "", nil
	}
	base, err := track.Base(public)
	if err != nil {
		return "", fmt.Errorf("read --public-url: %w", err)
	}
	return base, nil
}
