// Package schema holds the database schema: goose migrations, and the queries
// that sqlc compiles into internal/store/db.
package schema

import "embed"

// Migrations are the goose migrations, as migrations/NNNNN_verb_object.sql.
//
//go:embed migrations/*.sql
var Migrations embed.FS
