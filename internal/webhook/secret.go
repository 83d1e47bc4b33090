package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/keyring"
)

const (
	secretPrefix = "whsec_"
	newLength    = 32 // bytes
	minLength    = 24
	maxLength    = 64
)

// Secret is the key that calls of a webhook are signed with.
type Secret []byte

// NewSecret makes a random one.
func NewSecret() Secret {
	s := make(Secret, newLength)
	_, _ = rand.Read(s) // it never fails
	return s
}

var errSecret = errors.New("a secret is whsec_ and 24 to 64 bytes in base64")

// ParseSecret reads the form in which secrets are shown. Its error does not repeat the text.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) < minLength || len(raw) > maxLength || strings.ContainsAny(encoded, "\r\n") {
		return nil, errSecret
	}
	return raw, nil
}

// Text is the secret, to be shown once.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// String hides the secret, so that one that is printed by mistake tells nothing.
func (Secret) String() string { return secretPrefix + "…" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return secretPrefix + "…" }

// Place is what the secrets of a webhook are sealed for.
func Place(tenantID, webhookID string) string { return "webhook/" + tenantID + "/" + webhookID }

// OpenSecrets opens sealed secrets of a webhook; fault master_key_missing.
func OpenSecrets(keys *keyring.Keyring, tenantID, webhookID string, sealed ...[]byte) ([]Secret, error) {
	if keys == nil {
		return nil, fault.New(fault.Unavailable, "master_key_missing", "This installation has no master key.")
	}
	secrets := make([]Secret, len(sealed))
	for i, text := range sealed {
		opened, err := keys.Open(Place(tenantID, webhookID), text)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", webhookID, err)
		}
		secrets[i] = opened
	}
	return secrets, nil
}

// Sign is the value of the header webhook-signature: a signature with each secret, the
// newest first.
func Sign(id string, at time.Time, payload []byte, secrets ...Secret) (string, error) {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		signer, err := standardwebhooks.NewWebhookRaw(secret)
		if err == nil {
			signatures[i], err = signer.Sign(id, at, payload)
		}
		if err != nil {
			return "", fmt.Errorf("sign webhook: %w", err)
		}
	}
	return strings.Join(signatures, " "), nil
}
