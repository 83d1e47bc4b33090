package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mailtura/mailtura/internal/fault"
)

// taken says what a violated unique constraint means to a caller.
var taken = map[string]*fault.Error{
	"tenants_pkey":                   fault.New(fault.Conflict, "tenant_exists", "A tenant with this id exists already."),
	"tenants_tracking_domain_unique": fault.New(fault.Conflict, "tracking_domain_taken", "Another tenant has this tracking domain."),
	"domains_name_unique":            fault.New(fault.Conflict, "domain_exists", "The tenant has this domain already."),
	"domains_verified_unique":        errDomainTaken,
	"templates_name_unique":          fault.New(fault.Conflict, "template_exists", "A template with this name exists already."),
}

// translate turns a driver's error into a fault; faults and nil pass through.
func translate(operation string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := fault.As(err); ok {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.Wrap(fmt.Errorf("%s: %w", operation, err), fault.NotFound, "not_found", "There is no such resource.")
	}
	cause := fmt.Errorf("%s: %w", operation, err)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return translateState(pg, cause)
	}
	if errors.Is(err, context.Canceled) {
		return cause
	}
	return fault.Wrap(cause, fault.Unavailable, "database_unavailable", "The database is not available.")
}

// translateState decides by SQLSTATE (PostgreSQL, appendix A).
func translateState(pg *pgconn.PgError, cause error) error {
	switch {
	case pg.Code == "23505":
		if f, ok := taken[pg.ConstraintName]; ok {
			return fault.Wrap(cause, f.Kind, f.Code, "%s", f.Detail)
		}
	case pg.Code == "22021", pg.Code == "22P05": // not UTF-8, or a NUL
		return fault.Wrap(cause, fault.Invalid, "validation_failed", "A text has a character that can not be stored.")
	case pg.Code[:2] == "08", pg.Code[:2] == "53", pg.Code[:2] == "57", // connection, resources, shutdown
		pg.Code == "40001", pg.Code == "40P01": // serialization, deadlock
		return fault.Wrap(cause, fault.Unavailable, "database_unavailable", "The database is not available.")
	}
	return cause
}

// ignoreNoRows is the error of a query that need not find anything.
func ignoreNoRows(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// notFound replaces the detail of a not_found fault by one that names what is missing.
func notFound(err error, code, format string, args ...any) error {
	if f, ok := fault.As(err); ok && f.Code == "not_found" {
		return fault.Wrap(f, fault.NotFound, code, format, args...)
	}
	return err
}
