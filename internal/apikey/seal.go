package apikey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// Seal encrypts a text so that only who knows secret can read it (AES-256-GCM under a key
// that HKDF, RFC 5869, derives from the secret): the server, which keeps no secret, can
// keep an answer that has one.
func Seal(secret string, text []byte) []byte {
	aead, err := sealer(secret)
	if err != nil { // no hash is that broken
		return nil
	}
	return aead.Seal(nil, nil, text, nil) //nolint:gosec // it makes its nonce itself, at random
}

// Unseal decrypts what Seal has made with the same secret.
func Unseal(secret string, sealed []byte) (text []byte, ok bool) {
	aead, err := sealer(secret)
	if err != nil {
		return nil, false
	}
	text, err = aead.Open(nil, nil, sealed, nil)
	return text, err == nil
}

func sealer(secret string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "mailtura answer", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
