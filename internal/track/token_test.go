package track_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/track"
)

var (
	keys = track.NewKeys([]byte("0123456789abcdef0123456789abcdef"))
	ada  = uuid.MustParse("01934f6e-0000-7000-8000-00000000000a")
	bob  = uuid.MustParse("01934f6e-0000-7000-8000-00000000000b")
)

func TestToken_RoundTrip(t *testing.T) {
	t.Parallel()
	s := keys.Of("acme-corp", 7)
	for text, want := range map[string]track.Token{
		s.Open(ada): {TenantID: "acme-corp", Generation: 7, Recipient: ada, Kind: track.Open},
		s.Click(bob, 3, "https://x.yz/?a=ü&b=#c"): {TenantID: "acme-corp", Generation: 7, Recipient: bob, Kind: track.Click, Link: 3, URL: "https://x.yz/?a=ü&b=#c"},
		keys.Of(strings.Repeat("a", 63), 1<<31).Click(ada, 65535, "http://"+strings.Repeat("x", 2041)): {
			TenantID: strings.Repeat("a", 63), Generation: 1 << 31, Recipient: ada, Kind: track.Click, Link: 65535, URL: "http://" + strings.Repeat("x", 2041),
		},
	} {
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, text)
		require.LessOrEqual(t, len(text), track.MaxToken)
		got, ok := keys.Verify(text)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	require.Len(t, s.Open(ada), 64)
	require.Equal(t, s.Click(ada, 1, "http://x.yz"), keys.Of("acme-corp", 7).Click(ada, 1, "http://x.yz"), "the same at every attempt")
}

// No bit of a token can be another, whoever else's key is known.
func TestToken_CanNotBeForged(t *testing.T) {
	t.Parallel()
	text := keys.Of("acme-corp", 7).Click(ada, 0, "https://x.yz/")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	for i := range raw {
		for bit := range 8 {
			other := append([]byte(nil), raw...)
			other[i] ^= 1 << bit
			_, ok := keys.Verify(base64.RawURLEncoding.EncodeToString(other))
			require.False(t, ok, "byte %d, bit %d", i, bit)
		}
	}
	for n := range text {
		_, ok := keys.Verify(text[:n])
		require.False(t, ok, "the first %d characters", n)
	}
	for _, wrong := range []string{text + "A", text + "=", " " + text, text + "\n", strings.Repeat("A", track.MaxToken+4), ""} {
		_, ok := keys.Verify(wrong)
		require.False(t, ok)
	}
	_, ok := track.NewKeys([]byte("another installation")).Verify(text)
	require.False(t, ok)
	_, ok = track.Keys{}.Verify(track.Keys{}.Of("acme-corp", 7).Open(ada))
	require.False(t, ok, "without a secret anybody could have made it")
}

// The key of one tenant signs for no other, and for none that has its id later.
func TestToken_IsOfOneTenant(t *testing.T) {
	t.Parallel()
	mine := keys.Of("acme-corp", 7).Open(ada)
	raw, err := base64.RawURLEncoding.DecodeString(mine)
	require.NoError(t, err)
	for _, other := range []string{keys.Of("acme-corq", 7).Open(ada), keys.Of("acme-corp", 8).Open(ada)} {
		theirs, err := base64.RawURLEncoding.DecodeString(other)
		require.NoError(t, err)
		require.NotEqual(t, raw[len(raw)-16:], theirs[len(theirs)-16:])
		_, ok := keys.Verify(base64.RawURLEncoding.EncodeToString(append(theirs[:len(theirs)-16], raw[len(raw)-16:]...)))
		require.False(t, ok, "what they say with my signature")
	}
	at := time.UnixMicro(1_800_000_000_000_000)
	require.NotEqual(t, track.Generation(at), track.Generation(at.Add(time.Microsecond)))
	require.Equal(t, track.Generation(at), track.Generation(at.UTC()))
}

func FuzzVerify(f *testing.F) {
	s := keys.Of("acme-corp", 7)
	f.Add(s.Open(ada))
	f.Add(s.Click(ada, 1, "https://x.yz"))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		token, ok := keys.Verify(text)
		if !ok {
			require.Zero(t, token)
			return
		}
		signer := keys.Of(token.TenantID, token.Generation)
		if token.Kind == track.Open {
			require.Equal(t, text, signer.Open(token.Recipient))
		} else {
			require.Equal(t, text, signer.Click(token.Recipient, token.Link, token.URL))
		}
	})
}

func TestBase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://mail.example.com": "https://mail.example.com", "https://mail.example.com/": "https://mail.example.com",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "https://example.com/mail/": "https://example.com/mail",
	} {
		got, err := track.Base(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		"", "mail.example.com", "ftp://x.yz", "https://", "https://u:p@x.yz", "https://x.yz?a", "https://x.yz/#a", `https://x.yz/"`, "https://x.yz/a b", "https://ü.de",
	} {
		_, err := track.Base(in)
		require.Error(t, err, in)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	require.Equal(t, "https://x.yz/?a=%20&b#c", track.Location("https://x.yz/?a=%20&b#c"), "exactly")
	require.Equal(t, "https://x.yz/%C3%BC%20%22%0D%0A", track.Location("https://x.yz/ü %22\r\n"))
}
