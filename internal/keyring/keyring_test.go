package keyring_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/keyring"
)

func parse(t *testing.T, keys ...string) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Parse(strings.Join(keys, ","))
	require.NoError(t, err)
	return k
}

func TestSeal_OpensAtItsPlaceOnly(t *testing.T) {
	t.Parallel()
	k := parse(t, keyring.NewKey())
	sealed := k.Seal("acme-corp/one", []byte("secret"))
	require.NotContains(t, string(sealed), "secret")
	require.NotEqual(t, sealed, k.Seal("acme-corp/one", []byte("secret")), "the same text does not look the same")
	text, err := k.Open("acme-corp/one", sealed)
	require.NoError(t, err)
	require.Equal(t, "secret", string(text))
	_, err = k.Open("other-corp/one", sealed)
	require.Error(t, err)
	for i := range sealed {
		broken := append([]byte{}, sealed...)
		broken[i] ^= 1
		_, err = k.Open("acme-corp/one", broken)
		require.Error(t, err, "byte %d", i)
	}
	for _, short := range [][]byte{nil, {1}, sealed[:5], sealed[:20]} {
		_, err = k.Open("acme-corp/one", short)
		require.Error(t, err)
	}
}

// A new key goes before the old one, and the old one away when nothing is sealed with it any more.
func TestKeys_AreRotated(t *testing.T) {
	t.Parallel()
	older, newer := keyring.NewKey(), keyring.NewKey()
	sealed := parse(t, older).Seal("x", []byte("secret"))
	both := parse(t, newer, older)
	text, err := both.Open("x", sealed)
	require.NoError(t, err)
	require.Equal(t, "secret", string(text))
	again := both.Seal("x", text)
	text, err = parse(t, newer).Open("x", again)
	require.NoError(t, err)
	require.Equal(t, "secret", string(text))
	_, err = parse(t, newer).Open("x", sealed)
	require.ErrorContains(t, err, "its master key is not there")
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "there is no master key",
		" , \n":                        "there is no master key",
		"hunter2":                      "master key 1 is not 32 bytes in base64",
		keyring.NewKey() + ",c2hvcnQ=": "master key 2 is not 32 bytes in base64",
	} {
		_, err := keyring.Parse(text)
		require.EqualError(t, err, want)
	}
	parse(t, "\n"+keyring.NewKey()+"\n", keyring.NewKey()+" ")
}
