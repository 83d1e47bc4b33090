package apiserver

import (
	"encoding/binary"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/store"
)

func numbered(n uint64) (u uuid.UUID) {
	binary.BigEndian.PutUint64(u[:8], n)
	return u
}

// A feed keeps the newest events only, and says of a stream that is further behind that it has
// to read elsewhere.
func TestFeed_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	f := &feed{floor: numbered(10), head: numbered(10), changed: make(chan struct{})}
	_, changed, ok := f.behind(numbered(10))
	require.True(t, ok)
	_, _, ok = f.behind(numbered(9))
	require.False(t, ok)
	next := uint64(11)
	for range 5 {
		var page []store.Event
		for range feedPage {
			page = append(page, store.Event{ID: numbered(next)})
			next++
		}
		f.add(page)
	}
	<-changed
	last := next - 1
	require.Equal(t, numbered(last), f.position())
	require.LessOrEqual(t, len(f.recent), 2*feedRecent)
	for _, after := range []uint64{last, last - 1, last - feedRecent} {
		events, _, ok := f.behind(numbered(after))
		require.True(t, ok)
		require.Len(t, events, int(last-after))
		if after < last {
			require.Equal(t, numbered(after+1), events[0].ID)
		}
	}
	_, _, ok = f.behind(numbered(11))
	require.False(t, ok)
	events, _, ok := f.behind(uuid.Max)
	require.True(t, ok)
	require.Empty(t, events)
}
