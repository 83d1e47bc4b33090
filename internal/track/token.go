package track

import (
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"
)

const (
	version = 1
	macSize = 16 // bytes: 128 bits
	// MaxToken is the longest text that can be a token.
	MaxToken = 4096
	maxID    = 63 // bytes of a tenant's id
	maxLink  = 1<<16 - 1
)

var encoding = base64.RawURLEncoding.Strict() // one text for each token

// Token is what a signed token says.
type Token struct {
	TenantID   string
	Generation uint32 // of the tenant
	Recipient  uuid.UUID
	Kind       Kind
	Link       int    // of a click: which link of the email it is, from 0
	URL        string // of a click: where it leads
}

// encode puts version, kind, tenant, generation and recipient one behind the other, then
// for a click the link's index and its URL.
func (t Token) encode() []byte {
	b := make([]byte, 0, 3+len(t.TenantID)+4+len(t.Recipient)+2+len(t.URL)+macSize)
	b = append(b, version, byte(t.Kind), byte(len(t.TenantID)))
	b = append(b, t.TenantID...)
	b = binary.BigEndian.AppendUint32(b, t.Generation)
	b = append(b, t.Recipient[:]...)
	if t.Kind == Click {
		b = binary.BigEndian.AppendUint16(b, uint16(t.Link))
		b = append(b, t.URL...)
	}
	return b
}

// parse reads what the text says, and what its signature must be of. Nothing of it may be
// used before the signature was compared.
func parse(text string) (t Token, body, mac []byte, ok bool) {
	if len(text) > MaxToken || strings.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return Token{}, nil, nil, false
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) < 3+macSize {
		return Token{}, nil, nil, false
	}
	body, mac = raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	t.Kind = Kind(body[1])
	id, rest := int(body[2]), body[3:]
	if body[0] != version || id == 0 || id > maxID || len(rest) < id+4+len(t.Recipient) {
		return Token{}, nil, nil, false
	}
	t.TenantID, rest = string(rest[:id]), rest[id:]
	t.Generation, rest = binary.BigEndian.Uint32(rest), rest[4:]
	rest = rest[copy(t.Recipient[:], rest):]
	switch {
	case t.Kind == Open && len(rest) == 0:
	case t.Kind == Click && len(rest) > 2:
		t.Link, t.URL = int(binary.BigEndian.Uint16(rest)), string(rest[2:])
	default:
		return Token{}, nil, nil, false
	}
	return t, body, mac, true
}
