package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Algorithm is a kind of key.
type Algorithm string

// The algorithms: RSA for every receiver, Ed25519 (RFC 8463) beside it.
const (
	RSA     Algorithm = "rsa"
	Ed25519 Algorithm = "ed25519"
)

// Algorithms are all.
var Algorithms = []Algorithm{RSA, Ed25519}

// newRSA is the length of new RSA keys, in bits: longer records do not fit everywhere (RFC 6376 §3.3.3).
const newRSA = 2048

// Generate makes a key.
func Generate(a Algorithm, domain, selector string) (Key, error) {
	var private crypto.Signer
	var err error
	if a == RSA {
		private, err = rsa.GenerateKey(rand.Reader, newRSA)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make DKIM key: %w", err)
	}
	return Key{domain, selector, private}, nil
}

// Text is the private key in PEM (PKCS #8), as ParseKey reads it.
func (k Key) Text() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("encode DKIM key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
