package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/temporalconn"
)

type migrateCmd struct {
	connections
	logging
}

// Run migrates the database, and prepares Temporal, for which it waits.
func (c migrateCmd) Run(ctx context.Context) error {
	if c.DatabaseURL == "" {
		return errors.New("no database: set --database-url or DATABASE_URL")
	}
	log := c.logger()
	if err := migrate(ctx, c.connections, log); err != nil {
		return err
	}
	return prepareTemporal(ctx, c.connections, log)
}

// migrate brings the database to the newest schema.
func migrate(ctx context.Context, c connections, log *slog.Logger) error {
	ran, err := store.Migrate(ctx, c.DatabaseURL)
	for _, name := range ran {
		log.Info("migrated", slog.String("migration", name))
	}
	return err
}

// prepareTemporal makes the namespace and its search attributes where they are missing.
func prepareTemporal(ctx context.Context, c connections, log *slog.Logger) error {
	temporal, err := temporalconn.Lazy(temporalconn.Config{Address: c.Temporal, Namespace: c.Namespace, Log: log})
	if err != nil {
		return err
	}
	defer temporal.Close()
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := temporalconn.WaitUntilUp(wait, temporal, log); err != nil {
		return err
	}
	if err := flow.Prepare(ctx, temporal, c.Namespace); err != nil {
		return fmt.Errorf("prepare namespace %s: %w", c.Namespace, err)
	}
	return nil
}
