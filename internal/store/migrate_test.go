package store_test

import (
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/schema"
)

// emptyDatabase is the URL of a new database without a schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	name := "t_" + id.New().String()
	_, err := connect(t, testkit.ServerURL(t, "postgres")).Exec(t.Context(), fmt.Sprintf(`CREATE DATABASE %q`, name))
	require.NoError(t, err)
	return testkit.ServerURL(t, name)
}

func migrations(t *testing.T) []string {
	t.Helper()
	paths, err := fs.Glob(schema.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for i := range paths {
		paths[i] = paths[i][len("migrations/"):]
	}
	return paths
}

func TestMigrate_TwiceIsOnce(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	ran, err := store.Migrate(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, migrations(t), ran)
	ran, err = store.Migrate(t.Context(), url)
	require.NoError(t, err)
	require.Empty(t, ran)
	b := &bundle{Store: open(t, url), t: t, url: url, conn: connect(t, url)}
	b.activate(acme, tenant.Settings{})
	b.fill(acme) // every table can be used
}

// Processes that start at the same time wait for each other: each migration runs once, in one of them.
func TestMigrate_InParallel(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	var mu sync.Mutex
	var all []string
	require.NoError(t, inParallel(4, func(int) error {
		ran, err := store.Migrate(t.Context(), url)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ran...)
		return err
	}))
	require.Equal(t, migrations(t), all)
}

func TestMigrate_NoDatabase(t *testing.T) {
	t.Parallel()
	_, err := store.Migrate(t.Context(), testkit.ServerURL(t, "missing"))
	require.ErrorContains(t, err, "migrate database: ")
	_, err = store.Migrate(t.Context(), "postgres://host:port/db")
	require.ErrorContains(t, err, "read database URL")
}
