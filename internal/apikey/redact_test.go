package apikey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	key, other := apikey.New(apikey.Tenant), apikey.New(apikey.Operator)
	for text, want := range map[string]string{
		"": "", "no key, mt_ and all": "no key, mt_ and all", "mt_live_short": "mt_live_short",
		"a " + key.Text() + " b " + other.Text(): "a " + key.Shown() + " b " + other.Shown(),
		key.Text()[:40]:                          key.Shown(), // cut off
		key.Text() + "xy":                        key.Shown(), // with more behind it
		key.Shown():                              key.Shown(),
		`{"x":"` + key.Text() + `"}`:             `{"x":"` + key.Shown() + `"}`,
	} {
		require.Equal(t, want, string(apikey.Redact([]byte(text))))
	}
}
