package schema_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/schema"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bundle is an empty database of the test's own, with the migrations for it.
type bundle struct {
	*goose.Provider
	t  *testing.T
	db *sql.DB
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), testkit.ServerURL(t, "postgres"))
	require.NoError(t, err)
	defer admin.Close(t.Context()) //nolint:errcheck // a test's connection
	name := "t_" + id.New().String()
	_, err = admin.Exec(t.Context(), fmt.Sprintf(`CREATE DATABASE %q`, name))
	require.NoError(t, err)
	b := &bundle{t: t}
	b.db, err = sql.Open("pgx", testkit.ServerURL(t, name))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.db.Close()) })
	files, err := fs.Sub(schema.Migrations, "migrations")
	require.NoError(t, err)
	b.Provider, err = goose.NewProvider(goose.DialectPostgres, b.db, files)
	require.NoError(t, err)
	return b
}

// newMigrated has the newest schema.
func newMigrated(t *testing.T) *bundle {
	t.Helper()
	b := newBundle(t)
	_, err := b.Up(t.Context())
	require.NoError(t, err)
	return b
}

// texts gives a query's rows, each as one text.
func (b *bundle) texts(query string, args ...any) []string {
	b.t.Helper()
	rows, err := b.db.QueryContext(b.t.Context(), query, args...)
	require.NoError(b.t, err)
	defer rows.Close() //nolint:errcheck // read to its end
	all := []string{}
	for rows.Next() {
		var s string
		require.NoError(b.t, rows.Scan(&s))
		all = append(all, s)
	}
	require.NoError(b.t, rows.Err())
	return all
}

// describe is everything that the migrations make, in words: columns, constraints, indexes, policies, privileges, comments.
func (b *bundle) describe() []string {
	b.t.Helper()
	return b.texts(`
		WITH own AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose%')
		SELECT concat_ws(' ', c.relkind, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relacl, obj_description(c.oid)) FROM own c
		UNION ALL SELECT concat_ws(' ', 'column', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
			FROM own c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		UNION ALL SELECT concat_ws(' ', 'constraint', c.relname, x.conname, pg_get_constraintdef(x.oid))
			FROM own c JOIN pg_constraint x ON x.conrelid = c.oid
		UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) FROM own c JOIN pg_index i ON i.indrelid = c.oid
		UNION ALL SELECT concat_ws(' ', 'policy', c.relname, p.polname, pg_get_expr(p.polqual, p.polrelid))
			FROM own c JOIN pg_policy p ON p.polrelid = c.oid
		UNION ALL SELECT concat_ws(' ', 'function', proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'type', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
		ORDER BY 1`)
}

func TestMigrations_UpDownUp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.Empty(t, b.describe())
	_, err := b.Up(t.Context())
	require.NoError(t, err)
	first := b.describe()
	require.NotEmpty(t, first)
	_, err = b.DownTo(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, b.describe())
	_, err = b.Up(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, b.describe())
}

// Each way down undoes its way up, and nothing else.
func TestMigrations_EachStepBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, source := range b.ListSources() {
		before := b.describe()
		_, err := b.UpByOne(t.Context())
		require.NoError(t, err, source.Path)
		after := b.describe()
		require.NotEqual(t, before, after, source.Path)
		_, err = b.Down(t.Context())
		require.NoError(t, err, source.Path)
		require.Equal(t, before, b.describe(), source.Path)
		_, err = b.UpByOne(t.Context())
		require.NoError(t, err, source.Path)
		require.Equal(t, after, b.describe(), source.Path)
	}
	_, err := b.UpByOne(t.Context())
	require.ErrorIs(t, err, goose.ErrNoNextVersion)
}

func TestMigrations_NumbersWithoutGaps(t *testing.T) {
	t.Parallel()
	entries, err := fs.ReadDir(schema.Migrations, "migrations")
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	form := regexp.MustCompile(`^(\d{5})_[a-z]+(_[a-z0-9]+)+\.sql$`) // number, verb, object
	for i, entry := range entries {
		parts := form.FindStringSubmatch(entry.Name())
		require.NotNil(t, parts, entry.Name())
		require.Equal(t, fmt.Sprintf("%05d", i+1), parts[1], entry.Name())
	}
}
