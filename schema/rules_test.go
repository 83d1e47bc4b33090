package schema_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The roles of the request path, of what works across tenants, and of the audit log.
const (
	requestRole = "mailtura_request"
	systemRole  = "mailtura_system"
	auditRole   = "mailtura_audit"
)

// reachable are the tables in which the request path may do anything at all, with a column or with the whole.
func (b *bundle) reachable() []string {
	b.t.Helper()
	return b.texts(`SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = 'public'::regnamespace
		AND (has_table_privilege($1, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
			OR has_any_column_privilege($1, oid, 'SELECT, INSERT, UPDATE, REFERENCES')) ORDER BY 1`, requestRole)
}

// ofTenants are the tables that hold something of a tenant, with the column that says whose it is.
const ofTenants = `SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, a.attname FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
	WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace`

// unprotected are the tables of tenants in which the database itself does not keep tenants apart, with what is missing.
func (b *bundle) unprotected() (all []string) {
	b.t.Helper()
	for _, table := range b.texts(`SELECT relname FROM (` + ofTenants + `) t WHERE NOT (relrowsecurity AND relforcerowsecurity)`) {
		all = append(all, table+" has no forced row-level security")
	}
	reachable := b.reachable()
	for _, line := range b.texts(`SELECT relname || ' ' || attname FROM (` + ofTenants + `) t ORDER BY 1`) {
		table, column, _ := strings.Cut(line, " ")
		// One policy of each role, for every command. Without the setting the comparison is with null, which is never true; what
		// has no WITH CHECK is checked by USING. An operator's idempotency keys have the empty tenant, and so has, for the
		// setting, a connection that served a tenant before.
		setting := "current_setting('mailtura.tenant_id'::text, true)"
		if table == "idempotency_keys" {
			setting = "NULLIF(" + setting + ", ''::text)"
		}
		want := []string{"true * {" + systemRole + "} true -"}
		if table == "audit_log" { // nobody changes it, and it has a role of its own to be read and added to
			want = []string{"true * {" + auditRole + "} true -"}
		}
		if slices.Contains(reachable, table) { // else it is for operators only
			want = append(want, "true * {"+requestRole+"} ("+column+" = "+setting+") -")
		}
		got := b.texts(`SELECT concat_ws(' ', polpermissive::text, polcmd, ARRAY(SELECT rolname FROM pg_roles WHERE oid = ANY (polroles))::text,
			pg_get_expr(polqual, polrelid), coalesce(pg_get_expr(polwithcheck, polrelid), '-'))
			FROM pg_policy WHERE polrelid = $1::regclass`, table)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			all = append(all, fmt.Sprintf("%s has the policies %q, not %q", table, got, want))
		}
	}
	return all
}

// With a forgotten WHERE, and with a forgotten setting, the request path sees nothing of another tenant.
func TestSchema_EveryTableOfTenantsHasAPolicy(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	require.Empty(t, b.unprotected())
	tables := b.texts(`SELECT relname FROM (` + ofTenants + `) t`)
	for _, table := range b.reachable() {
		require.Contains(t, tables, table, "has no tenant, so the request path has no business in it")
	}
	for _, table := range []string{"tenant_deletions", "audit_log"} {
		require.NotContains(t, b.reachable(), table, "it is for operators only")
	}
}

// The rules find what they are to find.
func TestSchema_AForgottenPolicyIsFound(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	for _, step := range []struct{ ddl, finding string }{
		{`CREATE TABLE notes (tenant_id text REFERENCES tenants (id), note text)`, "notes has no forced row-level security"},
		{`ALTER TABLE notes ENABLE ROW LEVEL SECURITY`, "notes has no forced row-level security"},
		{`ALTER TABLE notes FORCE ROW LEVEL SECURITY`, "notes has the policies []"},
		{`CREATE POLICY notes_system ON notes TO mailtura_system USING (true)`, ""},
		{`GRANT SELECT ON notes TO mailtura_request`, `notes has the policies ["true * {mailtura_system} true -"]`},
		{`CREATE POLICY notes_tenant ON notes TO mailtura_request USING (tenant_id = current_setting('mailtura.tenant_id'))`, "notes has the policies"},
		{`ALTER POLICY notes_tenant ON notes USING (tenant_id = current_setting('mailtura.tenant_id', true))`, ""},
		{`CREATE POLICY notes_all ON notes USING (true)`, "notes has the policies"},
		{`ALTER TABLE emails NO FORCE ROW LEVEL SECURITY`, "emails has no forced row-level security"},
	} {
		_, err := b.db.ExecContext(t.Context(), step.ddl)
		require.NoError(t, err, step.ddl)
		found := strings.Join(b.unprotected(), "\n")
		require.Contains(t, found, step.finding, step.ddl)
		require.Equal(t, step.finding == "", found == "", "%s: %s", step.ddl, found)
	}
}

// What is immutable stays as it was written, whoever works on it.
func TestSchema_SystemRoleHasOnlyTheRightsThatItNeeds(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	for right, tables := range map[string][]string{
		"UPDATE": {"template_versions", "email_contents", "events", "bulk_send_errors", "goose_db_version"},
		"INSERT": {"templates", "template_versions", "goose_db_version"},
		"DELETE": {"tenant_deletions", "goose_db_version"},
		"SELECT": {"goose_db_version"},
	} {
		for _, table := range tables {
			require.Equal(t, []string{"false"}, b.texts(`SELECT has_table_privilege($1, $2, $3)::text`, systemRole, table, right), "%s %s", right, table)
		}
	}
}

func TestSchema_RolesCanNotGetRoundThePolicies(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	for _, role := range []string{requestRole, systemRole, auditRole} {
		require.Equal(t, []string{"false false false false false"}, b.texts(`SELECT concat_ws(' ', rolsuper::text, rolbypassrls::text,
			rolcanlogin::text, rolcreaterole::text, rolcreatedb::text) FROM pg_roles WHERE rolname = $1`, role), role)
		require.Empty(t, b.texts(`SELECT roleid::regrole::text FROM pg_auth_members WHERE member = $1::text::regrole`, role),
			"it is no member of another role")
		require.Empty(t, b.texts(`SELECT classid::regclass || ' ' || objid FROM pg_shdepend WHERE refobjid = $1::text::regrole AND deptype = 'o'`,
			role), "it owns nothing")
		require.Empty(t, b.texts(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
			AND has_table_privilege($1, oid, 'TRUNCATE, REFERENCES, TRIGGER')`, role), "policies do not hold for these")
		require.Equal(t, []string{"false"}, b.texts(`SELECT has_schema_privilege($1, 'public', 'CREATE')::text`, role))
	}
	require.Empty(t, b.texts(`SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef`),
		"no function lends them the owner's rights")
	require.Empty(t, b.texts(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')`),
		"a view would read as its owner, past the policies")
}

// A row can refer to rows of its own tenant only.
func TestSchema_ForeignKeysStayWithinATenant(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	const keys = `SELECT x.conrelid::regclass || ': ' || pg_get_constraintdef(x.oid) FROM pg_constraint x
		JOIN pg_attribute own ON own.attrelid = x.conrelid AND own.attname = 'tenant_id'
		JOIN pg_attribute theirs ON theirs.attrelid = x.confrelid
			AND theirs.attname = CASE x.confrelid::regclass::text WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
		WHERE x.contype = 'f' `
	require.NotEmpty(t, b.texts(keys))
	require.Empty(t, b.texts(keys+`AND NOT EXISTS (SELECT FROM unnest(x.conkey, x.confkey) k (own, theirs)
		WHERE k.own = own.attnum AND k.theirs = theirs.attnum)`))
	// The other way round: every table of tenants hangs on its tenant, over its parents if not itself.
	require.Equal(t, []string{"audit_log", "events", "idempotency_keys", "tenant_deletions"}, b.texts(`
		WITH RECURSIVE tied AS (
			SELECT 'tenants'::regclass::oid AS oid
			UNION SELECT x.conrelid FROM pg_constraint x JOIN tied ON x.confrelid = tied.oid WHERE x.contype = 'f')
		SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
		WHERE c.relkind = 'r' AND c.oid NOT IN (SELECT oid FROM tied) ORDER BY 1`), "an event is written from rows that exist, one has operators' too, the others outlive their tenant")
}

// <table>_<column>_<rule>, so that an error says what was violated. A rule about several columns names what they are about.
func TestSchema_ConstraintNames(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	checks := b.texts(`SELECT concat_ws(' ', x.conrelid::regclass, x.conname, (SELECT string_agg(attname, ' ') FROM pg_attribute
			WHERE attrelid = x.conrelid AND attnum = ANY (x.conkey)))
		FROM pg_constraint x WHERE x.connamespace = 'public'::regnamespace AND x.contype IN ('c', 'u', 'x')`)
	require.NotEmpty(t, checks)
	for _, check := range checks {
		words := strings.Fields(check)
		table, name, columns := words[0], words[1], words[2:]
		prefix := table + "_"
		if len(columns) == 1 {
			prefix += columns[0] + "_"
		}
		rule, found := strings.CutPrefix(name, prefix)
		require.True(t, found, check)
		require.NotEmpty(t, rule, check)
		require.NotRegexp(t, `(^|_)(check|key|excl)\d*$`, rule, "PostgreSQL has named it: %s", check)
	}
	for _, index := range b.texts(`SELECT indrelid::regclass || ' ' || indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indrelid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%'`) {
		table, name, _ := strings.Cut(index, " ")
		require.True(t, strings.HasPrefix(name, table+"_"), index)
		require.NotRegexp(t, `_idx\d*$`, name, "PostgreSQL has named it")
	}
}
