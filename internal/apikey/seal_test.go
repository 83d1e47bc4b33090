package apikey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	sealed := apikey.Seal("Bearer mt_op_a", []byte("mt_live_secret"))
	require.NotContains(t, string(sealed), "secret")
	text, ok := apikey.Unseal("Bearer mt_op_a", sealed)
	require.True(t, ok)
	require.Equal(t, "mt_live_secret", string(text))
	for secret, sealed := range map[string][]byte{"Bearer mt_op_b": sealed, "Bearer mt_op_a": sealed[1:]} {
		_, ok := apikey.Unseal(secret, sealed)
		require.False(t, ok)
	}
	_, ok = apikey.Unseal("Bearer mt_op_a", nil)
	require.False(t, ok)
}
