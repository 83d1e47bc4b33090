package domain

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/mail/dkim"
)

// Key is a DKIM key of a domain, without its private half.
type Key struct {
	Selector   string
	Algorithm  dkim.Algorithm
	Generation int    // counts rotations; the keys of one are made and replaced together
	Record     string // the text of its TXT record
	SeenAt     *time.Time
	RetiredAt  *time.Time // mail is not signed with it any more
	CreatedAt  time.Time
}

// Active reports whether mail is signed with the key.
func (k Key) Active() bool { return k.SeenAt != nil && k.RetiredAt == nil }

// Name is the name of the key's TXT record.
func (k Key) Name(domain string) string { return k.Selector + "._domainkey." + domain }

// NewKey is a key with its private half, sealed.
type NewKey struct {
	Key
	Private []byte
}

// Owner is whose keys are made.
type Owner struct{ TenantID, DomainID, Name string }

// place is what a private key is sealed for.
func (o Owner) place(selector string) string {
	return "domain/" + o.TenantID + "/" + o.DomainID + "/" + selector
}

// errNoMasterKey is of an installation that can keep no private keys.
var errNoMasterKey = fault.New(fault.Unavailable, "master_key_missing",
	"This installation has no master key, so it can keep no secrets. Its operator sets MAILTURA_MASTER_KEY.")

// NewKeys makes the keys of a generation, one of each algorithm; fault master_key_missing. Their
// selectors are random, since the DNS remembers for a while what it was asked.
func NewKeys(ring *keyring.Keyring, o Owner) ([]NewKey, error) {
	if ring == nil {
		return nil, errNoMasterKey
	}
	stem := make([]byte, 5)
	_, _ = rand.Read(stem) // it never fails
	name := "mt" + strings.ToLower(base32.StdEncoding.EncodeToString(stem))
	keys := make([]NewKey, 0, len(dkim.Algorithms))
	for _, algorithm := range dkim.Algorithms {
		key, err := dkim.Generate(algorithm, o.Name, name+"-"+string(algorithm))
		if err != nil {
			return nil, err
		}
		record, err := key.Record()
		if err != nil {
			return nil, err
		}
		text, err := key.Text()
		if err != nil {
			return nil, err
		}
		keys = append(keys, NewKey{
			Key:     Key{Selector: key.Selector, Algorithm: algorithm, Record: record},
			Private: ring.Seal(o.place(key.Selector), text),
		})
	}
	return keys, nil
}

// OpenKey opens the private half of a key; fault master_key_missing.
func OpenKey(ring *keyring.Keyring, o Owner, selector string, sealed []byte) (dkim.Key, error) {
	if ring == nil {
		return dkim.Key{}, errNoMasterKey
	}
	text, err := ring.Open(o.place(selector), sealed)
	if err != nil {
		return dkim.Key{}, fmt.Errorf("DKIM key %s of %s: %w", selector, o.Name, err)
	}
	return dkim.ParseKey(o.Name, selector, text)
}
