package store_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// allTables are those with a tenant's rows, but for those that go with the tenant itself.
var allTables = slices.Concat(store.TenantTables, store.GoWithEmails)

// fill gives a tenant at least two rows in each of allTables but for daily_usage, which has a row a day.
func (b *bundle) fill(tenantID string) email.Email {
	b.t.Helper()
	made, err := b.CreateTemplate(b.t.Context(), tenantID, newTemplate("one"))
	require.NoError(b.t, err)
	_, err = b.CreateTemplate(b.t.Context(), tenantID, newTemplate("two"))
	require.NoError(b.t, err)
	for _, name := range []string{"one", "two"} {
		_, err := b.CreateTenantKey(b.t.Context(), tenantID, store.NewKey{Name: name, Key: apikey.New(apikey.Tenant)})
		require.NoError(b.t, err)
		require.NoError(b.t, b.KeepAnswer(b.t.Context(), tenantID, name, newAnswer(name), time.Now()))
	}
	e := newEmail(tenantID, "ada@example.com")
	e.TemplateID, e.TemplateVersion = &made.ID, &made.Version
	for _, one := range []email.Email{e, newEmail(tenantID, "bob@example.com")} {
		dispatch := b.dispatch(one)
		due, err := b.ListDue(b.t.Context(), tenantID, dispatch, time.Now(), 10)
		require.NoError(b.t, err)
		_, err = b.StartAttempts(b.t.Context(), tenantID, due, time.Now())
		require.NoError(b.t, err)
		b.hit(opened(one, time.Now()))
	}
	for range 2 {
		k := b.newBulk(tenantID, nil)
		k.add(time.Now(), store.BulkBatch{Lines: k.lines(1), Rejected: 1, Errors: []store.BulkError{{Line: 9, Code: "malformed_json"}}})
	}
	b.fillWebhooks(tenantID)
	b.fillDomains(tenantID)
	for _, kind := range []string{"email.opened", "email.clicked"} {
		b.exec(`INSERT INTO events (tenant_id, type, email_id, recipient_id, created_at) VALUES ($1, $2, $3, $4, now())`,
			tenantID, kind, e.ID, e.Recipients[0].ID)
	}
	b.drain(tenantID, 1000)
	return e
}

// count gives the number of a tenant's rows by table.
func (b *bundle) count(tenantID string) map[string]int64 {
	b.t.Helper()
	rows := map[string]int64{}
	for _, table := range allTables {
		rows[table] = ask[int64](b, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, tenantID)
	}
	return rows
}

func TestBeginDeletion_SetsTheFence(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	before, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	require.Equal(t, acme, d.TenantID)
	require.Equal(t, store.DeletionRunning, d.Status)
	require.Empty(t, d.Rows)
	require.Nil(t, d.FinishedAt)
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, tenant.Deleting, got.Status)
	require.Equal(t, before.Version+1, got.Version)
	_, err = b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return nil })
	requireFault(t, err, fault.Conflict, "tenant_deleting")
	untouched, err := b.Tenant(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, tenant.Active, untouched.Status)

	require.NoError(t, b.SetDeletionRun(t.Context(), d.ID, "run"))
	d.RunID = "run"
	recorded, err := b.Deletion(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, d, recorded)
}

func TestBeginDeletion_AgainIsTheSame(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	ids := make([]uuid.UUID, 5)
	require.NoError(t, inParallel(len(ids), func(i int) error {
		d, err := b.BeginDeletion(t.Context(), acme, nil)
		ids[i] = d.ID
		return err
	}))
	for _, deletion := range ids {
		require.Equal(t, ids[0], deletion)
	}
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM tenant_deletions`))
}

func TestDeletion_NotFound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.BeginDeletion(t.Context(), "nobody", nil)
	requireFault(t, err, fault.NotFound, "tenant_not_found")
	_, err = b.Deletion(t.Context(), id.New())
	requireFault(t, err, fault.NotFound, "deletion_not_found")
}

func TestDeletion_TakesEverythingOfOneTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	b.fill(acme)
	b.fill(other)
	before := b.count(acme)
	for table, rows := range before {
		require.NotZero(t, rows, table)
	}
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	for _, table := range store.TenantTables {
		finished, err := b.FinishDeletion(t.Context(), acme, d.ID)
		require.NoError(t, err)
		require.False(t, finished, "%s is not empty", table)
		for left := before[table]; left > 0; left-- { // in chunks of one row
			deleted, err := b.DeleteTenantRows(t.Context(), acme, d.ID, table, 1)
			require.NoError(t, err, table)
			require.EqualValues(t, 1, deleted[table])
		}
		deleted, err := b.DeleteTenantRows(t.Context(), acme, d.ID, table, 1)
		require.NoError(t, err)
		require.Empty(t, deleted)
	}
	running, err := b.Deletion(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, before, running.Rows)
	require.Equal(t, store.DeletionRunning, running.Status)

	for range 2 { // a retry finds it finished
		completed := b.finishDeletion(acme, d.ID)
		require.Equal(t, store.DeletionCompleted, completed.Status)
		for table, rows := range before {
			require.Equal(t, rows, completed.Receipt.Rows[table], table)
		}
		require.WithinDuration(t, time.Now(), *completed.FinishedAt, time.Minute)
	}
	_, err = b.Tenant(t.Context(), acme)
	requireFault(t, err, fault.NotFound, "tenant_not_found")
	require.Equal(t, before, b.count(other))
}

// TenantTables is the order in which they can be emptied, and no table with a tenant's rows is missing from it,
// from the final count, and from the receipt.
func TestTenantTables_AreAll(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	tables := ask[[]string](b, `SELECT array_agg(table_name::text) FROM information_schema.columns
		WHERE table_schema = 'public' AND column_name = 'tenant_id' AND table_name NOT IN ('tenant_deletions', 'audit_log')`)
	require.ElementsMatch(t, tables, slices.Concat(allTables, store.GoWithTenant))
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	counted, err := b.CountDeletion(t.Context(), acme, d.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, tables, slices.Collect(maps.Keys(counted)))
	require.EqualValues(t, 1, b.finishDeletion(acme, d.ID).Receipt.Rows["tenants"])
	done, err := b.Deletion(t.Context(), d.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, append(tables, "tenants"), slices.Collect(maps.Keys(done.Receipt.Rows)))
}

// finishDeletion finishes a deletion of which no rows are left.
func (b *bundle) finishDeletion(tenantID string, deletion uuid.UUID) store.Deletion {
	b.t.Helper()
	finished, err := b.FinishDeletion(b.t.Context(), tenantID, deletion)
	require.NoError(b.t, err)
	require.True(b.t, finished)
	d, err := b.Deletion(b.t.Context(), deletion)
	require.NoError(b.t, err)
	return d
}

// Whoever was forgotten while he deleted rows, or counted them, does nothing to the next tenant of the id.
func TestDeleteTenantRows_OfAnotherTenantOfTheID(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	b.finishDeletion(acme, d.ID)
	b.activate(acme, tenant.Settings{})
	b.fill(acme)
	before := b.count(acme)
	_, err = b.DeleteTenantRows(t.Context(), acme, d.ID, "emails", 100)
	requireFault(t, err, fault.Internal, "deletion_not_running")
	finished, err := b.FinishDeletion(t.Context(), acme, d.ID)
	require.NoError(t, err)
	require.True(t, finished)
	require.Equal(t, before, b.count(acme))
	again, err := b.EndGrace(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, store.DeletionCompleted, again.Status)
}

// A chunk is bound by recipients, and by what the contents take.
func TestDeleteTenantRows_ChunkOfEmails(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for range 4 {
		b.dispatch(newEmail(acme, "a@example.com", "b@example.com", "c@example.com"))
	}
	b.exec(`UPDATE email_contents SET content = (SELECT string_agg(sha512(n::text::bytea), '') FROM generate_series(1, 400) n)
		WHERE email_id = (SELECT max(email_id::text)::uuid FROM email_contents)`)
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	for _, chunk := range []struct{ size, emails int64 }{{4, 2}, {1, 1}, {12, 1}} {
		deleted, err := b.DeleteTenantRows(t.Context(), acme, d.ID, "emails", int(chunk.size))
		require.NoError(t, err)
		require.Equal(t, chunk.emails, deleted["emails"])
		require.Equal(t, 3*chunk.emails, deleted["recipients"])
	}
}

func TestDeleteTenantRows_UnknownTable(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	_, err = b.DeleteTenantRows(t.Context(), acme, d.ID, "tenants; DROP TABLE tenants", 10)
	requireFault(t, err, fault.Internal, "unknown_table")
}

// Without the fence a tenant stays, however empty it is.
func TestFinishDeletion_NeedsTheFence(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	_, err := b.FinishDeletion(t.Context(), acme, id.New())
	requireFault(t, err, fault.NotFound, "deletion_not_found")
	got, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, tenant.Active, got.Status)
}

func TestDeletion_TheIDIsFreeAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	first, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	finished, err := b.FinishDeletion(t.Context(), acme, first.ID)
	require.NoError(t, err)
	require.True(t, finished)
	b.activate(acme, tenant.Settings{})
	second, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
	old, err := b.Deletion(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, store.DeletionCompleted, old.Status, "its record outlives the tenant")
}
