package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/mailtura/mailtura/schema"
)

// Migrate brings the database at a URL to the newest schema, under an advisory lock, so
// that processes that start at the same time wait for each other. It says which
// migrations it ran.
func Migrate(ctx context.Context, url string) (ran []string, err error) {
	system, err := open(ctx, Config{URL: url, MaxConns: 2}, nil, "")
	if err != nil {
		return nil, err
	}
	defer system.Close()
	handle := stdlib.OpenDBFromPool(system)
	defer handle.Close() //nolint:errcheck // the pool is closed next
	provider, err := newProvider(handle)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		ran = append(ran, r.Source.Path)
	}
	if err != nil {
		return ran, fmt.Errorf("migrate database: %w", err)
	}
	return ran, nil
}

func newProvider(handle *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(schema.Migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, handle, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}
