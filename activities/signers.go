package activities

import (
	"context"
	"fmt"
	"maps"

	"github.com/maypok86/otter/v2"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// maxSigners is of how many tenants the keys are remembered.
const maxSigners = 10_000

// Signers give the keys that the mail of tenants is signed with: those of their verified
// domains, and for others those of the installation. A delivery has its tenant at hand, whose
// row says whether it has verified domains, and changes with them (tenant.Tenant.Senders): so
// nothing is asked for a tenant without, and otherwise once for each change.
type Signers struct {
	installation dkim.Keys
	ring         *keyring.Keyring
	store        *store.Store
	known        *otter.Cache[signerKey, dkim.Keys]
}

type signerKey struct {
	tenantID string
	senders  int64
}

// NewSigners has the keys of the installation, and of tenants those that the ring opens; nil: none.
func NewSigners(s *store.Store, ring *keyring.Keyring, installation dkim.Keys) *Signers {
	known := otter.Must(&otter.Options[signerKey, dkim.Keys]{MaximumSize: maxSigners})
	return &Signers{installation: installation, ring: ring, store: s, known: known}
}

// Of are the keys for a tenant's mail. Its error is trouble of ours: mail from a verified
// domain does not go out unsigned because this process lacks the master key.
func (s *Signers) Of(ctx context.Context, t tenant.Tenant) (dkim.Keys, error) {
	if s == nil || t.Senders == 0 {
		return s.ofInstallation(), nil
	}
	return s.known.Get(ctx, signerKey{t.ID, t.Senders}, otter.LoaderFunc[signerKey, dkim.Keys](s.load))
}

func (s *Signers) ofInstallation() dkim.Keys {
	if s == nil {
		return nil
	}
	return s.installation
}

func (s *Signers) load(ctx context.Context, of signerKey) (dkim.Keys, error) {
	sealed, err := s.store.SigningKeys(ctx, of.tenantID)
	if err != nil {
		return nil, err
	}
	own := dkim.Keys{}
	for _, k := range sealed {
		owner := domain.Owner{TenantID: of.tenantID, DomainID: id.Domain.Format(k.DomainID), Name: k.Domain}
		key, err := domain.OpenKey(s.ring, owner, k.Selector, k.Private)
		if err != nil {
			return nil, fmt.Errorf("open signing keys: %w", err)
		}
		own[k.Domain] = append(own[k.Domain], key)
	}
	all := maps.Clone(s.installation)
	if all == nil {
		return own, nil
	}
	maps.Copy(all, own)
	return all, nil
}
