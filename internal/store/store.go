// Package store is the only code that speaks SQL.
//
// It has two ways into the database. The request path (InTenant) runs as the role
// mailtura_request, which row-level security binds to one tenant per transaction: with a
// forgotten WHERE it still sees nothing of another tenant. Everything that works across
// tenants (accepting, delivering, operators, deletion) runs as the role of the
// connection URL, which owns the tables. Driver errors become faults here, by SQLSTATE.
package store

import (
	"context"
	"fmt"
	"maps"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/mailtura/mailtura/internal/store/db"
)

// Config says how to reach the database.
type Config struct {
	URL      string // postgres://…
	MaxConns int32  // of each of the two pools; 0 = 20
	Traced   bool   // a span for each statement
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	system  *pgxpool.Pool
	request *pgxpool.Pool
	q       *db.Queries // on system
}

// statementTimeout is how long a statement of the request path may take.
const statementTimeout = "30s"

// The roles of the two pools. A migration makes them.
const (
	requestRole = "mailtura_request"
	systemRole  = "mailtura_system"
)

// Settings of the connections. The system's statements reach their rows by key, over and
// over: of a table that has grown since it was last analysed the planner thinks that it is
// small, and would read all of it for a join, and planning costs more than running. What
// requests read can be much, and differs: it is planned each time.
var (
	systemSettings = map[string]string{
		"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off", "plan_cache_mode": "force_generic_plan",
	}
	requestSettings = map[string]string{"plan_cache_mode": "force_custom_plan", "statement_timeout": statementTimeout}
)

// Open connects. The schema must be there; see Migrate.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	system, err := open(ctx, cfg, systemSettings, systemRole)
	if err != nil {
		return nil, err
	}
	request, err := open(ctx, cfg, requestSettings, requestRole)
	if err != nil {
		system.Close()
		return nil, err
	}
	return &Store{system: system, request: request, q: db.New(system)}, nil
}

func open(ctx context.Context, cfg Config, settings map[string]string, role string) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	pc.MaxConns = 20
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // else each id goes as text, by way of an error
		if role == "" {                  // migrations
			return nil
		}
		if _, err := conn.Exec(ctx, "SET ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
			return fmt.Errorf("become %s, which migrations make: %w", role, err)
		}
		return nil
	}
	maps.Copy(pc.ConnConfig.RuntimeParams, settings)
	if cfg.Traced {
		pc.ConnConfig.Tracer = otelpgx.NewTracer()
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return pool, nil
}

// Close closes all connections.
func (s *Store) Close() {
	s.request.Close()
	s.system.Close()
}

// Ready reports whether the database answers.
func (s *Store) Ready(ctx context.Context) error {
	return translate("ping database", s.system.Ping(ctx))
}

// inTenant runs fn in a transaction that sees only the tenant's rows.
func (s *Store) inTenant(ctx context.Context, operation, tenantID string, fn func(*db.Queries) error) error {
	return translate(operation, pgx.BeginFunc(ctx, s.request, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('mailtura.tenant_id', $1, true)", tenantID); err != nil {
			return err
		}
		return fn(db.New(tx))
	}))
}

// inSystem runs fn in a transaction that sees everything.
func (s *Store) inSystem(ctx context.Context, operation string, fn func(*db.Queries) error) error {
	return translate(operation, pgx.BeginFunc(ctx, s.system, func(tx pgx.Tx) error {
		return fn(db.New(tx))
	}))
}
