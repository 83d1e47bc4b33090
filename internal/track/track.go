// Package track makes the links and the picture by which opens and clicks of an email are
// known, and reads them again.
//
// What a recipient's mail program asks for is a token, which says all there is to know: of
// which tenant and recipient, and for a click where it leads. It is signed with a key of the
// tenant's own, so nobody can make one, turn one into another, or use it to lead elsewhere.
package track

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Kind is what a token stands for.
type Kind byte

// The kinds.
const (
	Open  Kind = 'o'
	Click Kind = 'c'
)

// Choice is what of an email is tracked.
type Choice struct {
	Opens  bool `json:"opens,omitempty"`
	Clicks bool `json:"clicks,omitempty"`
	// Base is where links and picture are, such as https://click.acme.com: what it was when
	// the email was accepted, so that every attempt sends the same.
	Base string `json:"base,omitempty"`
}

// Hit is one request of a mail program or browser for what a token stands for.
type Hit struct {
	Token
	At        time.Time
	UserAgent string // shortened, see Agent
	Prefetch  bool   // it said that nobody is looking
}

// Keys makes the keys of tenants. The zero Keys verifies nothing.
type Keys struct {
	secret []byte
	known  *sync.Map // Signer by identity: those of tokens that were good, since anybody can ask for others
}

type identity struct {
	tenantID   string
	generation uint32
}

// NewKeys derives every tenant's key from a secret of the installation.
func NewKeys(secret []byte) Keys { return Keys{secret: secret, known: &sync.Map{}} }

// Generation tells apart tenants that had the same id one after the other.
func Generation(tenantCreatedAt time.Time) uint32 { return uint32(tenantCreatedAt.UnixMicro()) }

// Of is the signer of a tenant.
func (k Keys) Of(tenantID string, generation uint32) Signer {
	info := "mailtura tracking 1\x00" + tenantID + "\x00" + strconv.FormatUint(uint64(generation), 10)
	key, err := hkdf.Key(sha256.New, k.secret, nil, info, sha256.Size)
	if err != nil { // only for a key longer than any hash gives
		return Signer{}
	}
	return Signer{tenantID: tenantID, generation: generation, key: key}
}

// Signer signs tokens of one tenant.
type Signer struct {
	tenantID   string
	generation uint32
	key        []byte
}

// Open is the token of a recipient's picture.
func (s Signer) Open(recipient uuid.UUID) string {
	return s.sign(Token{TenantID: s.tenantID, Generation: s.generation, Recipient: recipient, Kind: Open})
}

// Click is the token of a recipient's link: the one with this index in the email.
func (s Signer) Click(recipient uuid.UUID, link int, url string) string {
	return s.sign(Token{TenantID: s.tenantID, Generation: s.generation, Recipient: recipient, Kind: Click, Link: link, URL: url})
}

func (s Signer) sign(t Token) string {
	body := t.encode()
	return encoding.EncodeToString(append(body, s.mac(body)...))
}

func (s Signer) mac(body []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(body)
	return h.Sum(nil)[:macSize]
}

// Verify reads a token, if it is one that a tenant's signer has made.
func (k Keys) Verify(text string) (Token, bool) {
	t, body, mac, ok := parse(text)
	if !ok || len(k.secret) == 0 {
		return Token{}, false
	}
	who := identity{t.TenantID, t.Generation}
	known, found := k.known.Load(who)
	signer, _ := known.(Signer)
	if !found {
		signer = k.Of(t.TenantID, t.Generation)
	}
	if !hmac.Equal(mac, signer.mac(body)) {
		return Token{}, false
	}
	if !found {
		k.known.Store(who, signer)
	}
	return t, true
}
