package apiserver

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestKeyUses_AreGatheredAndRare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := uuid.New(), uuid.New()
		var written [][]uuid.UUID
		uses := newKeyUses(func(_ context.Context, keys []uuid.UUID, at time.Time) error {
			require.WithinDuration(t, time.Now(), at, 0)
			written = append(written, keys)
			return errors.New("a database that is away is no reason to stop")
		}, slog.New(slog.DiscardHandler))
		use := func(keys ...uuid.UUID) {
			for _, key := range keys {
				uses.add(key)
			}
			time.Sleep(2 * time.Second) // of the bubble's clock
			synctest.Wait()
		}
		use(one, two, one)
		require.Equal(t, [][]uuid.UUID{{one, two}}, written, "one statement for many")
		use(one, two)
		require.Len(t, written, 1, "not twice in a minute")
		time.Sleep(time.Minute)
		require.Len(t, written, 1, "nothing without a use")
		use(two)
		require.Equal(t, [][]uuid.UUID{{one, two}, {two}}, written)
		use(one)
		require.Equal(t, [][]uuid.UUID{{one, two}, {two}, {one}}, written)
	})
}
