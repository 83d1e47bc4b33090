// Package dkim signs messages (RFC 6376), with RSA and with Ed25519 keys (RFC 8463).
package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// minRSA is the shortest RSA key, in bits, that verifiers accept (RFC 8301 §3.2).
const minRSA = 1024

// Key is a key of a domain. Its public half is in a TXT record at
// <Selector>._domainkey.<Domain>.
type Key struct {
	Domain   string
	Selector string
	Private  crypto.Signer
}

// ParseKey reads a private key in PEM: PKCS #8 or PKCS #1.
func ParseKey(domain, selector string, text []byte) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("read DKIM key: it is not PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if private, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return Key{}, errors.New("read DKIM key: it is neither PKCS #8 nor PKCS #1")
		}
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return Key{}, fmt.Errorf("read DKIM key: RSA with %d bits, of which verifiers ask for %d", k.N.BitLen(), minRSA)
		}
		return Key{domain, selector, k}, nil
	case ed25519.PrivateKey:
		return Key{domain, selector, k}, nil
	}
	return Key{}, fmt.Errorf("read DKIM key: %T is neither RSA nor Ed25519", private)
}

// Record is the text of the key's TXT record (RFC 6376 §3.6.1).
func (k Key) Record() (string, error) {
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), err
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	default:
		return "", fmt.Errorf("make DKIM record: %T is neither RSA nor Ed25519", public)
	}
}

// signed are the header fields that a signature covers (RFC 6376 §5.4.1). Those that a
// message must not have twice stand here twice, so that none can be added (§5.4.2).
var signed = []string{
	"From", "From", "Subject", "Subject", "Date", "Date", "Message-ID", "To", "To", "Cc", "Cc", "Reply-To", "Reply-To",
	"MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post",
}

// Sign gives a message with a signature of each key before it. Both canonicalizations are
// relaxed: mail servers on the way change white space. Without a key it is the message itself.
func Sign(msg []byte, keys ...Key) ([]byte, error) {
	if len(keys) == 0 {
		return msg, nil
	}
	var out bytes.Buffer
	for _, k := range keys {
		field, err := signature(msg, k)
		if err != nil {
			return nil, fmt.Errorf("sign for %s: %w", k.Domain, err)
		}
		out.WriteString(field)
	}
	out.Write(msg)
	return out.Bytes(), nil
}

// signature is the header field of one key, with its CRLF.
func signature(msg []byte, k Key) (string, error) {
	s, err := dkim.NewSigner(&dkim.SignOptions{
		Domain: k.Domain, Selector: k.Selector, Signer: k.Private, HeaderKeys: signed,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return "", err
	}
	_, err = s.Write(msg)
	if err := errors.Join(err, s.Close()); err != nil {
		return "", err
	}
	return s.Signature(), nil
}
