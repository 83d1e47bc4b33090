package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // registers postgres12_pgx
	"go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"
)

// openPostgres prepares the databases of main and visibility data.
func openPostgres(ctx context.Context, f flags, logger log.Logger) (persistence, error) {
	url, err := pgx.ParseConfig(f.PostgresURL)
	if err != nil {
		return persistence{}, fmt.Errorf("read --postgres-url: %w", err)
	}
	p := persistence{
		main: sqlConfig(url, f.DatabasePrefix), visibility: sqlConfig(url, f.DatabasePrefix+"_visibility"), shards: f.Shards,
	}
	p.visibility.MaxConns = 10
	admin, err := pgx.ConnectConfig(ctx, url)
	if err != nil {
		return persistence{}, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	if err := prepare(ctx, admin, p.main, "postgresql/v12/temporal", logger); err != nil {
		return persistence{}, err
	}
	if err := prepare(ctx, admin, p.visibility, "postgresql/v12/visibility", logger); err != nil {
		return persistence{}, err
	}
	return p, p.keepShards(ctx, url)
}

func sqlConfig(url *pgx.ConnConfig, database string) *config.SQL {
	return &config.SQL{
		PluginName: "postgres12_pgx", ConnectProtocol: "tcp", ConnectAddr: fmt.Sprintf("%s:%d", url.Host, url.Port),
		User: url.User, Password: url.Password, DatabaseName: database,
		MaxConns: 30, MaxIdleConns: 30, MaxConnLifetime: time.Hour,
	}
}

// prepare brings a database to the newest schema. A new one gets its schema under another
// name first, so that a crash in between leaves no half of one.
func prepare(ctx context.Context, admin *pgx.Conn, cfg *config.SQL, schemaName string, logger log.Logger) error {
	name := pgx.Identifier{cfg.DatabaseName}.Sanitize()
	fresh := pgx.Identifier{cfg.DatabaseName + "_setup"}.Sanitize()
	var exists bool
	if err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", cfg.DatabaseName).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	if exists {
		return updateSchema(cfg, schemaName, logger)
	}
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + fresh + " WITH (FORCE)", "CREATE DATABASE " + fresh} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make database %s: %w", name, err)
		}
	}
	setup := *cfg
	setup.DatabaseName += "_setup"
	if err := createSchema(&setup, schemaName, logger); err != nil {
		return err
	}
	if err := rename(ctx, admin.Config(), setup.DatabaseName, cfg.DatabaseName); err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, "ALTER DATABASE "+fresh+" RENAME TO "+name); err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	return nil
}

// rename writes the final name where the schema keeps the name of its database.
func rename(ctx context.Context, url *pgx.ConnConfig, from, to string) error {
	url = url.Copy()
	url.Database = from
	conn, err := pgx.ConnectConfig(ctx, url)
	if err != nil {
		return fmt.Errorf("make database %s: %w", to, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	if _, err := conn.Exec(ctx, "UPDATE schema_version SET db_name = $1", to); err != nil {
		return fmt.Errorf("make database %s: %w", to, err)
	}
	return nil
}

func createSchema(cfg *config.SQL, schemaName string, logger log.Logger) error {
	conn, err := sqltool.NewConnection(cfg, logger)
	if err != nil {
		return fmt.Errorf("connect to database %s: %w", cfg.DatabaseName, err)
	}
	defer conn.Close()
	if err := schema.NewSetupSchemaTask(conn, &schema.SetupConfig{InitialVersion: "0.0"}, logger).Run(); err != nil {
		return fmt.Errorf("make schema of %s: %w", cfg.DatabaseName, err)
	}
	return update(conn, cfg, schemaName, logger)
}

func updateSchema(cfg *config.SQL, schemaName string, logger log.Logger) error {
	conn, err := sqltool.NewConnection(cfg, logger)
	if err != nil {
		return fmt.Errorf("connect to database %s: %w", cfg.DatabaseName, err)
	}
	defer conn.Close()
	return update(conn, cfg, schemaName, logger)
}

func update(conn *sqltool.Connection, cfg *config.SQL, schemaName string, logger log.Logger) error {
	task := schema.NewUpdateSchemaTask(conn, &schema.UpdateConfig{DBName: cfg.DatabaseName, SchemaName: schemaName}, logger)
	if err := task.Run(); err != nil {
		return fmt.Errorf("update schema of %s: %w", cfg.DatabaseName, err)
	}
	return nil
}

// keepShards takes the number of shards that existing databases were made with, since it
// can not be changed.
func (p *persistence) keepShards(ctx context.Context, url *pgx.ConnConfig) error {
	url = url.Copy()
	url.Database = p.main.DatabaseName
	conn, err := pgx.ConnectConfig(ctx, url)
	if err != nil {
		return fmt.Errorf("read number of shards: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	var shards int32
	err = conn.QueryRow(ctx, "SELECT max(shard_id) FROM shards HAVING max(shard_id) IS NOT NULL").Scan(&shards)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read number of shards: %w", err)
	}
	p.shards = shards
	return nil
}
