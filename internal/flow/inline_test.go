package flow

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInline_LargeDispatchesNeedRoom(t *testing.T) {
	t.Parallel()
	var i Inline
	require.True(t, i.fits(inlineWithRoom))
	require.False(t, i.fits(inlineWithRoom+1))
	var ends []func()
	for range room {
		ends = append(ends, i.Begin())
	}
	require.False(t, i.fits(inlineWithRoom))
	require.True(t, i.fits(inlineLimit), "a small one never waits behind large ones")
	ends[0]()
	require.True(t, i.fits(inlineWithRoom))
	require.False(t, (*Inline)(nil).fits(1), "where no workers share the process")
}
