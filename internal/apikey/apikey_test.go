package apikey_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
)

func TestKey_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, kind := range []apikey.Kind{apikey.Operator, apikey.Tenant} {
		k := apikey.New(kind)
		back, ok := apikey.Parse(k.Text())
		require.True(t, ok)
		require.Equal(t, k, back)
		require.True(t, back.Matches(k.Hash()))
		require.False(t, apikey.New(kind).Matches(k.Hash()))
		require.Len(t, k.Hash(), 32)
		require.False(t, k.Matches(nil))
	}
}

func TestParse_RefusesOtherForms(t *testing.T) {
	t.Parallel()
	good := apikey.New(apikey.Tenant).Text()
	for _, s := range []string{"", "mt_live_", good + "x", good[:len(good)-1], strings.ToUpper(good), "mt_live_" + strings.Repeat("-", 55), " " + good, good + "\n"} {
		_, ok := apikey.Parse(s)
		require.False(t, ok, "%q", s)
	}
}

func TestKey_IsNeverPrinted(t *testing.T) {
	t.Parallel()
	k := apikey.New(apikey.Operator)
	secret := strings.TrimPrefix(k.Text(), "mt_op_"+k.Prefix)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, k), secret)
	}
	require.Equal(t, "mt_op_"+k.Prefix+"…", k.Shown())
}

func FuzzParse(f *testing.F) {
	f.Add(apikey.New(apikey.Tenant).Text())
	f.Add("mt_op_")
	f.Fuzz(func(t *testing.T, s string) {
		if k, ok := apikey.Parse(s); ok && k.Text() != s {
			t.Fatalf("%q parses to another key", s)
		}
	})
}
