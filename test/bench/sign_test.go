package bench

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkSign measures what a DKIM signature (RFC 6376, 8463) costs beside the rest of an
// email: the signing of its hash, on one core.
func BenchmarkSign(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	_, short, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	hash := sha256.Sum256([]byte(text))
	const times = 500
	measure := func(sign func() error) float64 {
		began := time.Now()
		for range times {
			require.NoError(b, sign())
		}
		return float64(time.Since(began).Microseconds()) / times
	}
	for b.Loop() {
		long := measure(func() error {
			_, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, hash[:])
			return err
		})
		b.ReportMetric(long, "µs/RSA-2048")
		b.ReportMetric(measure(func() error {
			_, err := short.Sign(nil, hash[:], crypto.Hash(0))
			return err
		}), "µs/Ed25519")
	}
}
