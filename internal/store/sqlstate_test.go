package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
)

// PostgreSQL, appendix A.
func TestTranslate_BySQLSTATE(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"08006": "database_unavailable", // connection failure
		"53300": "database_unavailable", // too many connections
		"53100": "database_unavailable", // disk full
		"57P01": "database_unavailable", // admin shutdown
		"57P03": "database_unavailable", // cannot connect now
		"57014": "database_unavailable", // statement timeout
		"40001": "database_unavailable", // serialization failure
		"40P01": "database_unavailable", // deadlock
		"22021": "validation_failed",    // character not in repertoire
		"22P05": "validation_failed",    // untranslatable character
		"23505": "internal",             // of a constraint that has no meaning to a caller
		"23503": "internal",             // foreign key
		"23514": "internal",             // check
		"42501": "internal",             // row-level security, privileges
		"42P01": "internal",             // no such table
		"XX000": "internal",
	} {
		driver := &pgconn.PgError{Code: state, Message: "secret text"}
		err := translate("get thing", fmt.Errorf("query: %w", driver))
		require.Equal(t, want, fault.CodeOf(err), state)
		require.Equal(t, want == "database_unavailable", fault.KindOf(err) == fault.Unavailable, state)
		require.ErrorIs(t, err, driver, state)
		require.ErrorContains(t, err, "get thing: ", state)
		if f, ok := fault.As(err); ok {
			require.NotContains(t, f.Detail, "secret text")
		}
	}
}

func TestTranslate_TakenNames(t *testing.T) {
	t.Parallel()
	for constraint, want := range map[string]string{
		"tenants_pkey": "tenant_exists", "templates_name_unique": "template_exists", "emails_pkey": "internal",
	} {
		err := translate("create", &pgconn.PgError{Code: "23505", ConstraintName: constraint})
		require.Equal(t, want, fault.CodeOf(err))
		require.Equal(t, want != "internal", fault.KindOf(err) == fault.Conflict)
	}
}

func TestTranslate_OtherErrors(t *testing.T) {
	t.Parallel()
	require.NoError(t, translate("get thing", nil))
	require.Equal(t, "not_found", fault.CodeOf(translate("get thing", pgx.ErrNoRows)))
	require.Equal(t, "database_unavailable", fault.CodeOf(translate("get thing", errors.New("dial tcp: refused"))))
	own := fault.New(fault.Conflict, "tenant_deleting", "no")
	err := translate("update thing", own)
	require.ErrorIs(t, err, own)
	require.ErrorContains(t, err, "update thing: ")
	require.Equal(t, fault.Conflict, fault.KindOf(err))
}

func TestNotFound_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	err := notFound(translate("get thing", pgx.ErrNoRows), "thing_not_found", "There is no thing %q.", "x")
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, "thing_not_found", f.Code)
	require.Equal(t, `There is no thing "x".`, f.Detail)
	require.ErrorIs(t, err, pgx.ErrNoRows)
	away := translate("get thing", errors.New("dial tcp: refused"))
	require.Equal(t, away, notFound(away, "thing_not_found", "There is no thing."), "other errors stay")
	require.NoError(t, notFound(nil, "thing_not_found", "There is no thing."))
}
