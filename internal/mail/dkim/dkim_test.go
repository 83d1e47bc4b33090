package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/fstest"

	verifier "github.com/emersion/go-msgauth/dkim"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/dkim"
)

const message = "From: Acme <noreply@acme.com>\r\nTo: ada@example.com\r\nSubject: Hi\r\nMessage-ID: <1@acme.com>\r\n\r\nHello  Ada\r\n"

func newKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	if kind == "rsa" {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		return key
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func encoded(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// verify gives what a receiver finds, for whom the keys' records are in the DNS.
func verify(t *testing.T, msg []byte, keys ...dkim.Key) (errs []error) {
	t.Helper()
	found, err := verifier.VerifyWithOptions(bytes.NewReader(msg), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for _, k := range keys {
			if name == k.Selector+"._domainkey."+k.Domain {
				record, err := k.Record()
				return []string{record}, err
			}
		}
		return nil, nil
	}})
	require.NoError(t, err)
	for _, v := range found {
		errs = append(errs, v.Err)
	}
	return errs
}

func TestSign_ReceiversVerify(t *testing.T) {
	t.Parallel()
	keys := []dkim.Key{
		{Domain: "acme.com", Selector: "r1", Private: newKey(t, "rsa")}, {Domain: "acme.com", Selector: "e1", Private: newKey(t, "ed25519")},
	}
	signed, err := dkim.Sign([]byte(message), keys...)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(signed, []byte(message)), "the message itself is as it was")
	require.Equal(t, []error{nil, nil}, verify(t, signed, keys...))

	loose := strings.Replace(string(signed), "Hello  Ada", "Hello Ada ", 1)
	require.Equal(t, []error{nil, nil}, verify(t, []byte(loose), keys...), "white space is changed on the way")
	for name, forged := range map[string]string{
		"body":              strings.Replace(string(signed), "Hello", "Hallo", 1),
		"subject":           strings.Replace(string(signed), "Subject: Hi", "Subject: Ho", 1),
		"a second From":     "From: Eve <eve@example.com>\r\n" + string(signed),
		"a Reply-To":        "Reply-To: eve@example.com\r\n" + string(signed),
		"a second To":       "To: eve@example.com\r\n" + string(signed),
		"a second Subject":  "Subject: Pay\r\n" + string(signed),
		"another type":      "Content-Type: text/html\r\n" + string(signed),
		"unsubscribe added": "List-Unsubscribe: <https://eve.example.com>\r\n" + string(signed),
	} {
		for _, err := range verify(t, []byte(forged), keys...) {
			require.Error(t, err, name)
		}
	}
	plain, err := dkim.Sign([]byte(message))
	require.NoError(t, err)
	require.Equal(t, message, string(plain), "without a key")
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	private := newKey(t, "rsa")
	keys, err := dkim.ReadKeys(fstest.MapFS{
		"r1._domainkey.acme.com.pem":      {Data: encoded(t, private)},
		"e1._domainkey.Acme.com.pem":      {Data: encoded(t, newKey(t, "ed25519"))},
		"s1._domainkey.news.shop.com.pem": {Data: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private.(*rsa.PrivateKey))})},
		"README":                          {Data: []byte("not a key")},
	})
	require.NoError(t, err)
	require.Len(t, keys.Of("acme.com"), 2)
	require.Len(t, keys.Of("MAIL.acme.com"), 2, "a subdomain")
	require.Equal(t, "s1", keys.Of("news.shop.com")[0].Selector)
	for _, domain := range []string{"shop.com", "notacme.com", "com", ""} {
		require.Empty(t, keys.Of(domain), domain)
	}
}

func TestReadKeys_Refusals(t *testing.T) {
	t.Parallel()
	good := encoded(t, newKey(t, "ed25519"))
	for want, files := range map[string]fstest.MapFS{
		"a name like":      {"acme.com.pem": {Data: good}},
		"not PEM":          {"s1._domainkey.acme.com.pem": {Data: []byte("hello")}},
		"neither PKCS":     {"s1._domainkey.acme.com.pem": {Data: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})}},
		"s1._domainkey.a.": {"s1._domainkey.a.pem": {Data: nil}},
	} {
		_, err := dkim.ReadKeys(files)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hello", "nothing of a file is shown")
	}
}
