package apiserver

import (
	"context"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

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
	addr := addressOf(ctx)
	if err := s.attempts.allow(addr, key); err != nil {
		return store.Credential{}, err
	}
	c, err := s.lookUp(ctx, key)
	switch {
	case err == errKey: //nolint:errorlint // it is this very one
		s.attempts.wrong(addr, key)
		return c, err
	case err != nil:
		return c, err
	}
	s.attempts.right(key)
	if !c.Networks.Allow(addr) {
		return c, fault.New(fault.Forbidden, "address_not_allowed", "The key may not be used from the address %s.", addr)
	}
	return c, nil
}

// nobody is compared with where there is no key, so that it takes as long.
var nobody = make([]byte, 32)

// lookUp finds a key and checks it; errKey, whatever is wrong with it. A key that is not good has
// always been asked for in the database, known or not, so that the time tells nothing either.
func (s *Server) lookUp(ctx context.Context, key apikey.Key) (store.Credential, error) {
	c, loaded, err := s.known.credential(ctx, key.Prefix)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		c.Hash, err = nobody, nil
	}
	if err != nil {
		return c, err
	}
	if key.Matches(c.Hash) && usable(c, key.Kind) {
		return c, nil
	}
	if !loaded {
		_, _ = s.Store.Credential(ctx, key.Prefix) // for the time that it takes
	}
	return c, errKey
}

// usable reports whether a key is good now.
func usable(c store.Credential, kind apikey.Kind) bool {
	ended := c.Revoked || (c.ExpiresAt != nil && !time.Now().Before(*c.ExpiresAt)) || c.TenantStatus == tenant.Deleting
	return !ended && (c.TenantID == "") == (kind == apikey.Operator)
}
