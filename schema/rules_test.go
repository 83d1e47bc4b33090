package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requestRole is the role of the request path.
const requestRole = "mailtura_request"

// reachable are the tables in which the request path may do anything at all, with a column or with the whole.
func (b *bundle) reachable() []string {
	b.t.Helper()
	return b.texts(`SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = 'public'::regnamespace
		AND (has_table_privilege($1, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
			OR has_any_column_privilege($1, oid, 'SELECT, INSERT, UPDATE, REFERENCES')) ORDER BY 1`, requestRole)
}

// With a forgotten WHERE, and with a forgotten setting, the request path sees nothing of another tenant.
func TestSchema_EveryTableOfTenantsHasAPolicy(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	ofTenants := b.texts(`SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1`)
	require.NotEmpty(t, ofTenants)
	reachable := b.reachable()
	require.Contains(t, reachable, "tenants")
	for _, table := range append([]string{"tenants"}, ofTenants...) {
		if table == "tenant_deletions" || table == "audit_log" { // for operators only: no policy, because the role has no privilege
			require.NotContains(t, reachable, table)
			continue
		}
		column := "tenant_id"
		if table == "tenants" {
			column = "id"
		}
		require.Equal(t, []string{"true"}, b.texts(`SELECT relrowsecurity FROM pg_class WHERE oid = $1::regclass`, table), table)
		// One policy for every command, of this role only. Without the setting the comparison is with null, which is never true;
		// what has no WITH CHECK is checked by USING. An operator's idempotency keys have the empty tenant, and so has, for the
		// setting, a connection that served a tenant before.
		setting := "current_setting('mailtura.tenant_id'::text, true)"
		if table == "idempotency_keys" {
			setting = "NULLIF(" + setting + ", ''::text)"
		}
		require.Equal(t, []string{"true * {" + requestRole + "} (" + column + " = " + setting + ") -"},
			b.texts(`SELECT concat_ws(' ', polpermissive::text, polcmd, ARRAY(SELECT rolname FROM pg_roles WHERE oid = ANY (polroles))::text,
				pg_get_expr(polqual, polrelid), coalesce(pg_get_expr(polwithcheck, polrelid), '-'))
				FROM pg_policy WHERE polrelid = $1::regclass`, table), table)
	}
	for _, table := range reachable {
		require.True(t, table == "tenants" || slices.Contains(ofTenants, table), "%s has no tenant", table)
	}
}

func TestSchema_RequestRoleCanNotGetRoundThePolicies(t *testing.T) {
	t.Parallel()
	b := newMigrated(t)
	require.Equal(t, []string{"false false false false false"}, b.texts(`SELECT concat_ws(' ', rolsuper::text, rolbypassrls::text,
		rolcanlogin::text, rolcreaterole::text, rolcreatedb::text) FROM pg_roles WHERE rolname = $1`, requestRole))
	require.Empty(t, b.texts(`SELECT roleid::regrole::text FROM pg_auth_members WHERE member = $1::text::regrole`, requestRole),
		"it is no member of another role")
	require.Empty(t, b.texts(`SELECT classid::regclass || ' ' || objid FROM pg_shdepend WHERE refobjid = $1::text::regrole AND deptype = 'o'`,
		requestRole), "it owns nothing")
	require.Empty(t, b.texts(`SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef`),
		"no function lends it the owner's rights")
	require.Empty(t, b.texts(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')`),
		"a view would read as its owner, past the policies")
	require.Empty(t, b.texts(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
		AND has_table_privilege($1, oid, 'TRUNCATE, REFERENCES, TRIGGER')`, requestRole), "policies do not hold for these")
	require.Equal(t, []string{"false"}, b.texts(`SELECT has_schema_privilege($1, 'public', 'CREATE')::text`, requestRole))
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
