// Package keyring seals the secrets that Mailtura has to know in the clear, such as those of
// webhooks, before they go to the database: AES-256-GCM under a master key that the database
// never sees.
//
// A sealed text says which key has sealed it, so that there can be several: the first seals,
// all of them open. And it is bound to its place, such as a row: moved to another one, it does
// not open.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	keyLength = 32 // AES-256
	idLength  = 4
	version   = 1
)

// Keyring has master keys.
type Keyring struct {
	first [idLength]byte
	keys  map[[idLength]byte]cipher.AEAD
}

// NewKey is a random master key, as Parse reads it.
func NewKey() string {
	key := make([]byte, keyLength)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key)
}

// Parse reads master keys: 32 bytes in base64 each, separated by commas or white space. The
// first seals, all open. Its errors do not repeat the text.
func Parse(text string) (*Keyring, error) {
	k := &Keyring{keys: map[[idLength]byte]cipher.AEAD{}}
	for i, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }) {
		key, err := base64.StdEncoding.DecodeString(word)
		if err != nil || len(key) != keyLength {
			return nil, fmt.Errorf("master key %d is not 32 bytes in base64", i+1)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		name := idOf(key)
		if i == 0 {
			k.first = name
		}
		k.keys[name] = aead
	}
	if len(k.keys) == 0 {
		return nil, errors.New("there is no master key")
	}
	return k, nil
}

// idOf names a key without telling anything of it.
func idOf(key []byte) (name [idLength]byte) {
	sum := sha256.Sum256(append([]byte("mailtura master key "), key...))
	copy(name[:], sum[:])
	return name
}

// Seal encrypts a text for a place.
func (k *Keyring) Seal(place string, text []byte) []byte {
	sealed := append([]byte{version}, k.first[:]...)
	return k.keys[k.first].Seal(sealed, nil, text, []byte(place)) //nolint:gosec // it makes its nonce itself, at random
}

// Open decrypts what Seal made for the same place.
func (k *Keyring) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+idLength || sealed[0] != version {
		return nil, errors.New("open secret: not of a form that is known")
	}
	aead, ok := k.keys[[idLength]byte(sealed[1:])]
	if !ok {
		return nil, errors.New("open secret: its master key is not there")
	}
	text, err := aead.Open(nil, nil, sealed[1+idLength:], []byte(place))
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	return text, nil
}
