package activities_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/activities"
)

// served runs waiters that come in the order of a text, one place, and gives the order in
// which they were served; a letter is a tenant, an upper-case one has weight 3.
func served(t *testing.T, come string) string {
	t.Helper()
	var order strings.Builder
	synctest.Test(t, func(t *testing.T) {
		turns := activities.NewTurns(1)
		require.NoError(t, turns.Wait(t.Context(), "first", 1))
		var mu sync.Mutex
		for _, tenant := range come {
			weight := float32(1)
			if tenant < 'a' {
				weight = 3
			}
			go func() {
				if turns.Wait(t.Context(), string(tenant), weight) != nil {
					return
				}
				mu.Lock()
				order.WriteRune(tenant)
				mu.Unlock()
				turns.Done()
			}()
			synctest.Wait()
		}
		turns.Done()
		synctest.Wait()
	})
	return order.String()
}

func TestTurns_AreShared(t *testing.T) {
	t.Parallel()
	for come, want := range map[string]string{
		"aaaa":      "aaaa",
		"aaaab":     "abaaa", // one that has just come does not wait for all of another
		"aaabbb":    "ababab",
		"aaabbbc":   "abcabab",
		"AAAAAAbbb": "AbAAAbAAb",
	} {
		require.Equal(t, want, served(t, come), "%s", come)
	}
}

func TestTurns_GivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := activities.NewTurns(1)
		require.NoError(t, turns.Wait(t.Context(), "a", 1))
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- turns.Wait(ctx, "b", 1) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		turns.Done()
		require.NoError(t, turns.Wait(t.Context(), "c", 1), "the place is free again")
	})
}

func TestTurns_NoneIsLost(t *testing.T) {
	t.Parallel()
	turns := activities.NewTurns(3)
	var group sync.WaitGroup
	var mu sync.Mutex
	inside, most := 0, 0
	for i := range 300 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				go cancel()
			}
			if turns.Wait(ctx, string(rune('a'+i%5)), 1) != nil {
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			inside--
			mu.Unlock()
			turns.Done()
		})
	}
	group.Wait()
	require.LessOrEqual(t, most, 3)
	for range 3 { // all places are there
		require.NoError(t, turns.Wait(t.Context(), "z", 1))
	}
}
