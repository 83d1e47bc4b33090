// Package apikey makes and checks API keys.
//
// A key is "mt_op_" or "mt_live_", a public prefix of 12 characters by which it is
// looked up, and a secret of 43 characters (256 random bits). Only the SHA-256 of the
// secret is kept; a slow hash would add nothing, since the secret can not be guessed.
package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"math/big"
	"strings"
)

// Kind is whom a key speaks for.
type Kind string

// The kinds of keys, as a key begins.
const (
	Operator Kind = "mt_op_"
	Tenant   Kind = "mt_live_"
)

const (
	alphabet     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	prefixLength = 12
	secretLength = 43 // 62^43 > 2^256
)

// Key is a key in parts. Its text form, which has the secret, exists only in Text.
type Key struct {
	Kind   Kind
	Prefix string // public: found in lists and in the database
	secret string
}

// New makes a random key.
func New(kind Kind) Key {
	return Key{Kind: kind, Prefix: random(prefixLength), secret: random(secretLength)}
}

func random(n int) string {
	b := make([]byte, n)
	for i := range b {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) //nolint:forbidigo // crypto/rand never fails since Go 1.24; a key without randomness must not exist
		}
		b[i] = alphabet[k.Int64()]
	}
	return string(b)
}

// Parse takes a key apart; ok is false when s has not the form of one.
func Parse(s string) (k Key, ok bool) {
	for _, kind := range []Kind{Operator, Tenant} {
		rest, found := strings.CutPrefix(s, string(kind))
		if !found || len(rest) != prefixLength+secretLength || strings.Trim(rest, alphabet) != "" {
			continue
		}
		return Key{Kind: kind, Prefix: rest[:prefixLength], secret: rest[prefixLength:]}, true
	}
	return Key{}, false
}

// Text is the whole key, to be shown once.
func (k Key) Text() string { return string(k.Kind) + k.Prefix + k.secret }

// Shown is the part of the key that may be listed.
func (k Key) Shown() string { return Shown(k.Kind, k.Prefix) }

// Shown is the listed form of a key of which only the prefix is known.
func Shown(kind Kind, prefix string) string { return string(kind) + prefix + "…" }

// Hash is what is stored of the secret.
func (k Key) Hash() []byte {
	sum := sha256.Sum256([]byte(k.secret))
	return sum[:]
}

// Matches compares the secret with a stored hash, in constant time.
func (k Key) Matches(hash []byte) bool {
	return subtle.ConstantTimeCompare(k.Hash(), hash) == 1
}

// String hides the secret, so that a key that is printed by mistake tells nothing.
func (k Key) String() string { return k.Shown() }

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.Shown() }
