package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// requireRefused requires that a role has no right to a statement.
func (b *bundle) requireRefused(role, sql string) {
	b.t.Helper()
	tx, err := b.conn.Begin(b.t.Context())
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), "SET LOCAL ROLE "+role)
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), sql)
	var refusal *pgconn.PgError
	require.ErrorAs(b.t, err, &refusal, sql)
	require.Equal(b.t, "42501", refusal.Code, "%s: %s", sql, refusal.Message)
	require.NoError(b.t, tx.Rollback(b.t.Context()))
}

// Accepting, delivering and operators work without the rights to change the schema, to get round the policies, or to
// rewrite what has happened.
func TestRoles_SystemHasNoRightToMoreThanItDoes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.fill(acme)
	for table := range tenantColumns() {
		b.requireRefused("mailtura_system", "TRUNCATE "+table+" CASCADE")
		b.requireRefused("mailtura_system", "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY")
		b.requireRefused("mailtura_system", "DROP TABLE "+table+" CASCADE")
		b.requireRefused("mailtura_system", "CREATE POLICY mine ON "+table+" USING (true)")
	}
	for _, sql := range []string{
		`CREATE TABLE mine ()`,
		`CREATE ROLE mine`,
		`UPDATE events SET type = 'email.sent'`,
		`UPDATE email_contents SET content = ''`,
		`UPDATE template_versions SET html = 'other'`,
		`INSERT INTO templates (tenant_id, id, name) VALUES ('acme-corp', gen_random_uuid(), 'x')`,
		`UPDATE bulk_send_errors SET code = 'other'`,
		`DELETE FROM tenant_deletions`,
		`SELECT FROM goose_db_version`,
		`SELECT pg_read_file('/etc/hostname')`,
	} {
		b.requireRefused("mailtura_system", sql)
	}
}

// Both ways into the database are what they are said to be, whoever the connection URL names.
func TestRoles_OfTheStoresConnections(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.accept(newEmail(acme, "ada@example.com")) // uses the system's pool
	_, _, err := b.ListTemplates(t.Context(), acme, "", 1)
	require.NoError(t, err)
	// A session's own role can not be asked for from another one; what it may do can be.
	b.exec(`REVOKE ALL ON templates FROM mailtura_request`)
	_, _, err = b.ListTemplates(t.Context(), acme, "", 1)
	require.ErrorContains(t, err, "permission denied")
	b.exec(`REVOKE ALL ON emails FROM mailtura_system`)
	_, err = acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, "ada@example.com")})
	require.ErrorContains(t, err, "permission denied")
}

// managed is a PostgreSQL as it is rented: the one who pays owns a database, and is no superuser.
type managed struct {
	t      *testing.T
	server *postgres.Server
	admin  *pgx.Conn
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailtura-test-") //nolint:usetesting // PostgreSQL runs as another user below it
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	server, err := postgres.Start(t.Context(), postgres.Config{Dir: dir, Fast: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	admin, err := pgx.Connect(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, admin.Close(context.WithoutCancel(t.Context()))) })
	return &managed{t: t, server: server, admin: admin}
}

func (m *managed) exec(sql ...string) {
	m.t.Helper()
	for _, statement := range sql {
		_, err := m.admin.Exec(m.t.Context(), statement)
		require.NoError(m.t, err, statement)
	}
}

// url is a user's way into a database.
func (m *managed) url(user, database string) string {
	config, err := pgx.ParseConfig(m.server.URL(database))
	require.NoError(m.t, err)
	return fmt.Sprintf("postgres://%s:sesame@%s:%d/%s?sslmode=disable", user, config.Host, config.Port, database)
}

// use does something on each way into a database.
func (m *managed) use(url string) {
	m.t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(m.t, err)
	b := &bundle{Store: open(m.t, url), t: m.t, url: url, conn: connect(m.t, m.server.URL(config.Database))}
	for _, tenantID := range []string{acme, other} {
		b.activate(tenantID, tenant.Settings{})
		b.fill(tenantID)
		deletion, err := b.BeginDeletion(m.t.Context(), tenantID, nil)
		require.NoError(m.t, err)
		for _, table := range store.TenantTables {
			for n := 1; n > 0; {
				deleted, err := b.DeleteTenantRows(m.t.Context(), tenantID, deletion.ID, table, 1000)
				require.NoError(m.t, err)
				n = len(deleted)
			}
		}
		finished, err := b.FinishDeletion(m.t.Context(), tenantID, deletion.ID)
		require.NoError(m.t, err)
		require.True(m.t, finished)
	}
}

func TestRoles_OwnerIsNoSuperuser(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	for i, step := range []struct {
		name  string
		setup []string
		owner string // migrates
		user  string // of the processes
	}{
		{
			"it makes the roles itself",
			[]string{`CREATE ROLE renter LOGIN CREATEROLE PASSWORD 'sesame'`, `CREATE DATABASE first OWNER renter`},
			"renter", "renter",
		},
		{
			"an administrator has made them, and it can make none",
			[]string{
				`CREATE ROLE plain LOGIN PASSWORD 'sesame'`, `GRANT mailtura_request, mailtura_system, mailtura_audit TO plain`,
				`CREATE DATABASE second OWNER plain`,
			},
			"plain", "plain",
		},
		{
			"the processes have a user that owns nothing",
			[]string{
				`CREATE ROLE keeper LOGIN PASSWORD 'sesame'`, `GRANT mailtura_request, mailtura_system, mailtura_audit TO keeper`,
				`CREATE DATABASE third OWNER keeper`,
				`CREATE ROLE runner LOGIN NOINHERIT PASSWORD 'sesame'`, `GRANT mailtura_request, mailtura_system, mailtura_audit TO runner`,
			},
			"keeper", "runner",
		},
	} {
		m.exec(step.setup...)
		database := []string{"first", "second", "third"}[i]
		_, err := store.Migrate(t.Context(), m.url(step.owner, database))
		require.NoError(t, err, step.name)
		m.use(m.url(step.user, database))
		requireBackup(t, m.url(step.owner, database))
	}
}

// requireBackup requires that the owner can copy all rows, as pg_dump --enable-row-security does.
func requireBackup(t *testing.T, url string) {
	t.Helper()
	s := open(t, url)
	_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: "kept", Name: "kept", Domain: "kept.example"})
	require.NoError(t, err)
	conn := connect(t, url)
	for _, table := range []string{"tenants", "goose_db_version", "events", "api_keys"} {
		_, err := conn.Exec(t.Context(), `COPY `+table+` TO STDOUT`)
		require.NoError(t, err, table)
	}
	var tenants int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM tenants`).Scan(&tenants))
	require.Equal(t, 1, tenants)
}

// Without the right to make roles, and without the roles, it is said which is missing.
func TestRoles_OwnerWithoutTheRight(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	m.exec(`CREATE ROLE plain LOGIN PASSWORD 'sesame'`, `CREATE DATABASE first OWNER plain`)
	_, err := store.Migrate(t.Context(), m.url("plain", "first"))
	require.ErrorContains(t, err, "permission denied to create role")
	require.NotContains(t, strings.ToLower(err.Error()), "sesame")
}
