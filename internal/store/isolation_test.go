package store_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// tenantColumns are all tables that hold something of a tenant, with the column that says whose it is.
func tenantColumns() map[string]string {
	columns := map[string]string{"tenants": "id"}
	for _, table := range allTables {
		columns[table] = "tenant_id"
	}
	return columns
}

// asRequest runs fn in a transaction of the request path: as its role, for a tenant. "" sets none.
func (b *bundle) asRequest(tenantID string, fn func(tx pgx.Tx)) {
	t := b.t
	t.Helper()
	tx, err := b.conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SET LOCAL ROLE mailtura_request`)
	require.NoError(t, err)
	if tenantID != "" {
		_, err = tx.Exec(t.Context(), `SELECT set_config('mailtura.tenant_id', $1, true)`, tenantID)
		require.NoError(t, err)
	}
	fn(tx)
	require.NoError(t, tx.Rollback(t.Context()))
}

// owners are the tenants of the rows that a transaction sees in a table, without any WHERE.
func owners(t *testing.T, tx pgx.Tx, table, column string) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), fmt.Sprintf(`SELECT DISTINCT %s FROM %s`, column, table))
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func TestIsolation_OnlyOwnRowsAreSeen(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	b.fill(acme)
	b.fill(other)
	for table, column := range tenantColumns() {
		for _, tenantID := range []string{acme, other} {
			b.asRequest(tenantID, func(tx pgx.Tx) {
				require.Equal(t, []string{tenantID}, owners(t, tx, table, column), table)
			})
		}
		for _, tenantID := range []string{"", "nobody", "%", acme + "' OR '1'='1"} {
			b.asRequest(tenantID, func(tx pgx.Tx) {
				require.Empty(t, owners(t, tx, table, column), "%s for %q", table, tenantID)
			})
		}
	}
}

// An empty setting is what a connection has that served a tenant before.
func TestIsolation_NothingAfterTheTransaction(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.fill(acme)
	conn := connect(t, b.url)
	_, err := conn.Exec(t.Context(), `SET ROLE mailtura_request`)
	require.NoError(t, err)
	for _, tenantID := range []string{acme, ""} {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		if tenantID != "" {
			_, err = tx.Exec(t.Context(), `SELECT set_config('mailtura.tenant_id', $1, true)`, tenantID)
			require.NoError(t, err)
		}
		require.Equal(t, tenantID != "", len(owners(t, tx, "emails", "tenant_id")) == 1)
		require.Equal(t, tenantID != "", len(owners(t, tx, "idempotency_keys", "tenant_id")) == 1, "an operator's are of tenant ''")
		require.NoError(t, tx.Commit(t.Context()))
	}
}

// requireNoWrite requires that a statement is refused, or changes no row.
func requireNoWrite(t *testing.T, tx pgx.Tx, sql string) {
	t.Helper()
	nested, err := tx.Begin(t.Context())
	require.NoError(t, err)
	tag, err := nested.Exec(t.Context(), sql)
	if err == nil {
		require.Zero(t, tag.RowsAffected(), sql)
	} else {
		var refusal *pgconn.PgError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "42501", refusal.Code, "%s: %s", sql, refusal.Message) // no privilege, or row-level security
	}
	require.NoError(t, nested.Rollback(t.Context()))
}

func TestIsolation_NoRowOfAnotherTenantIsWritten(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other, "leaving")
	b.fill(acme)
	b.fill(other)
	_, err := b.BeginDeletion(t.Context(), "leaving", nil)
	require.NoError(t, err)
	for table, column := range tenantColumns() {
		b.asRequest(acme, func(tx pgx.Tx) {
			requireNoWrite(t, tx, fmt.Sprintf(`UPDATE %s SET %s = %[2]s WHERE %[2]s = '%s'`, table, column, other))
			requireNoWrite(t, tx, fmt.Sprintf(`UPDATE %s SET %s = '%s' WHERE %[2]s = '%s'`, table, column, other, acme))
			requireNoWrite(t, tx, fmt.Sprintf(`DELETE FROM %s WHERE %s = '%s'`, table, column, other))
			requireNoWrite(t, tx, "TRUNCATE "+table+" CASCADE")
		})
	}
	b.asRequest(acme, func(tx pgx.Tx) {
		for _, insert := range []string{
			`INSERT INTO api_keys (id, tenant_id, name, prefix, hash) VALUES (gen_random_uuid(), '%s', 'x', 'x', sha256('x'))`,
			`INSERT INTO templates (tenant_id, id, name) VALUES ('%s', gen_random_uuid(), 'x')`,
			`INSERT INTO template_versions (tenant_id, template_id, version, subject, html, text, required)
				SELECT '%s', id, 99, 'x', 'x', 'x', '{}' FROM templates LIMIT 1`,
			`INSERT INTO emails (tenant_id, id, subject, from_address, from_name, tags, metadata, trace_parent, class, usage_day, created_at)
				VALUES ('%s', gen_random_uuid(), 'x', 'x', 'x', '{}', '{}', '', 'bulk', 'today', now())`,
			`INSERT INTO engagements (tenant_id, recipient_id) VALUES ('%s', gen_random_uuid())`,
			`INSERT INTO dispatches (tenant_id, id, class, emails) VALUES ('%s', gen_random_uuid(), 'bulk', 0)`,
			`INSERT INTO daily_usage (tenant_id, day, reserved) VALUES ('%s', 'today', 0)`,
			`INSERT INTO webhooks (tenant_id, id, url, events, enabled, secret, cursor, quiet_until, created_at, updated_at)
				VALUES ('%s', gen_random_uuid(), 'x', '{*}', true, '', gen_random_uuid(), now(), now(), now())`,
			`INSERT INTO webhook_retries (tenant_id, webhook_id, event_id, attempts, next_at) SELECT '%s', id, id, 0, now() FROM webhooks LIMIT 1`,
			`INSERT INTO webhook_deliveries (tenant_id, webhook_id, id, event_id, event_type, attempt, started_at, duration_ms, response, error)
				VALUES ('%s', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'x', 1, now(), 0, '', '')`,
			`INSERT INTO domains (tenant_id, id, name, check_at, created_at, updated_at) VALUES ('%s', gen_random_uuid(), 'x.example', now(), now(), now())`,
			`INSERT INTO domain_keys (tenant_id, domain_id, selector, generation, algorithm, record, private_key, created_at)
				SELECT '%s', id, 'x', 9, 'rsa', '', '', now() FROM domains LIMIT 1`,
			`INSERT INTO idempotency_keys (tenant_id, key, hash, status, location, body) VALUES ('%s', 'x', sha256('x'), 202, '', '')`,
		} {
			requireNoWrite(t, tx, fmt.Sprintf(insert, other))
		}
		requireNoWrite(t, tx, `INSERT INTO api_keys (id, tenant_id, name, prefix, hash)
			VALUES (gen_random_uuid(), NULL, 'operator', 'x', sha256('x'))`)
		requireNoWrite(t, tx, `UPDATE api_keys SET tenant_id = NULL`) // a tenant's key must not become an operator's
		requireNoWrite(t, tx, `INSERT INTO tenants (id, name, domain) VALUES ('x', 'x', 'x')`)
		requireNoWrite(t, tx, `UPDATE tenants SET status = 'active'`)
		requireNoWrite(t, tx, `SELECT FROM tenant_deletions`)
		requireNoWrite(t, tx, `SELECT FROM installation_secrets`)
		requireNoWrite(t, tx, `SELECT FROM goose_db_version`)
	})
}
