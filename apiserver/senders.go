package apiserver

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/mailtura/mailtura/internal/tenant"
)

// checkSender refuses an email that is neither from the tenant's own domain nor from a verified
// one of it. Only what is from another domain costs a look, and most of these are remembered.
func (s *Server) checkSender(ctx context.Context, c *compiler) error {
	from := c.out.From.Domain()
	if from == "" || from == c.tenant.Domain {
		return nil
	}
	verified, err := s.known.senders(ctx, c.tenant)
	if err != nil || slices.Contains(verified, from) {
		return err
	}
	whose := "the sender address"
	if c.in.From == "" {
		whose = "the tenant's fromEmail"
	}
	c.wrong("body.from", "sender_domain_not_allowed", whose+" is on "+from+"; it must be on "+senderDomains(c.tenant.Domain, verified))
	return nil
}

// senderDomains says what a tenant can send from.
func senderDomains(own string, verified []string) string {
	text := "the tenant's domain " + own + " or on a verified domain of the tenant"
	const some = 5
	switch {
	case len(verified) == 0:
		return text + ", of which it has none"
	case len(verified) > some:
		return text + " (" + strings.Join(verified[:some], ", ") + " and " + strconv.Itoa(len(verified)-some) + " more)"
	}
	return text + " (" + strings.Join(verified, ", ") + ")"
}

// senders are the domains that a tenant may send from beside its own. Their list is remembered
// for a version of the tenant, which changes with it.
func (k *known) senders(ctx context.Context, t tenant.Tenant) ([]string, error) {
	if t.Senders == 0 {
		return nil, nil
	}
	load := func(ctx context.Context, _ string) ([]string, error) { return k.store.SenderDomains(ctx, t.ID) }
	names, _, err := k.domains.get(ctx, k.generation.Load(), t.ID+"/"+strconv.FormatInt(t.Senders, 10), load)
	return names, err
}
