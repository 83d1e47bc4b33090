package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

// persistence is where the server keeps its data.
type persistence struct {
	main, visibility *config.SQL
	shards           int32
}

func openStore(ctx context.Context, f flags, logger log.Logger) (persistence, error) {
	if f.PostgresURL != "" {
		return openPostgres(ctx, f, logger)
	}
	return openSQLite(f)
}

// openSQLite prepares a file, or memory. A file gets its schema under another name first,
// so that a crash in between leaves no half of one.
func openSQLite(f flags) (persistence, error) {
	cfg := &config.SQL{PluginName: sqlite.PluginName, MaxConns: 1, MaxIdleConns: 1}
	if f.SQLiteFile == "" {
		cfg.DatabaseName = "memory-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		cfg.ConnectAttributes = map[string]string{"mode": "memory", "cache": "shared"}
		return persistence{main: cfg, visibility: cfg, shards: 1}, nil
	}
	if err := os.MkdirAll(filepath.Dir(f.SQLiteFile), 0o750); err != nil {
		return persistence{}, fmt.Errorf("make folder of %s: %w", f.SQLiteFile, err)
	}
	cfg.DatabaseName, cfg.ConnectAttributes = f.SQLiteFile, fileAttributes()
	if _, err := os.Stat(f.SQLiteFile); errors.Is(err, os.ErrNotExist) {
		if err := createFile(f.SQLiteFile); err != nil {
			return persistence{}, err
		}
	}
	return persistence{main: cfg, visibility: cfg, shards: 1}, nil
}

func fileAttributes() map[string]string {
	return map[string]string{"mode": "rwc", "_journal_mode": "wal", "_synchronous": "normal", "_busy_timeout": "10000"}
}

func createFile(name string) error {
	fresh := name + ".new"
	for _, leftover := range []string{fresh, fresh + "-wal", fresh + "-shm", fresh + "-journal"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", leftover, err)
		}
	}
	// without a write-ahead log the file is whole when it is closed
	cfg := &config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: fresh,
		ConnectAttributes: map[string]string{"mode": "rwc", "_journal_mode": "delete"},
	}
	if err := sqliteschema.SetupSchema(cfg); err != nil {
		return fmt.Errorf("make schema in %s: %w", fresh, err)
	}
	if err := os.Rename(fresh, name); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}
