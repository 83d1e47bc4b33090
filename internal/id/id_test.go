package id_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
)

func TestKind_RoundTrip(t *testing.T) {
	t.Parallel()
	u := id.New()
	s := id.Email.Format(u)
	require.Regexp(t, `^msg_[0-9a-z]{26}$`, s)
	back, err := id.Email.Parse(s)
	require.NoError(t, err)
	require.Equal(t, u, back)
}

func TestKind_ParseRefusesOthers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "msg", "msg_", "msg_zz", id.Template.NewString(), "msg_" + id.New().String()} {
		_, err := id.Email.Parse(s)
		require.Error(t, err, s)
	}
}

func TestNew_Ascends(t *testing.T) {
	t.Parallel()
	last := id.Email.NewString()
	for range 1000 {
		next := id.Email.NewString()
		require.Less(t, last, next)
		last = next
	}
}

func FuzzKind_Parse(f *testing.F) {
	f.Add("msg_01h455vb4pex5vsknk084sn02q")
	f.Add("msg_")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := id.Email.Parse(s)
		if err == nil && id.Email.Format(u) != s {
			t.Fatalf("%q parses to %v, which is shown as %q", s, u, id.Email.Format(u))
		}
	})
}
