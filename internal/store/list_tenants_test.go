package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// listed are the ids of a list, page by page.
func (b *bundle) listed(q store.TenantQuery) (all [][]string) {
	b.t.Helper()
	for _, items := range pages(b.t, func(after string) ([]store.TenantSummary, string, error) {
		q.After = after
		return b.ListTenants(b.t.Context(), q)
	}) {
		ids := []string{}
		for _, item := range items {
			ids = append(ids, item.ID)
		}
		all = append(all, ids)
	}
	return all
}

// summary is that of one tenant.
func (b *bundle) summary(tenantID string) store.TenantSummary {
	b.t.Helper()
	items, _, err := b.ListTenants(b.t.Context(), store.TenantQuery{Prefix: tenantID, Limit: 10})
	require.NoError(b.t, err)
	i := slices.IndexFunc(items, func(t store.TenantSummary) bool { return t.ID == tenantID })
	require.GreaterOrEqual(b.t, i, 0)
	return items[i]
}

func TestListTenants_Pages(t *testing.T) {
	t.Parallel()
	b := newBundle(t, "one", "two", "three", "four", "five")
	// Two of them at the same instant: the id decides, and none is skipped or shown twice.
	b.exec(`UPDATE tenants SET created_at = '2026-01-02T03:04:05.678901Z' WHERE id IN ('two', 'three')`)
	b.exec(`UPDATE tenants SET created_at = '2026-01-01T00:00:00Z' WHERE id = 'one'`)
	require.Equal(t, [][]string{{"five", "four"}, {"two", "three"}, {"one"}}, b.listed(store.TenantQuery{Limit: 2}))
	require.Equal(t, [][]string{{"one", "three"}, {"two", "four"}, {"five"}}, b.listed(store.TenantQuery{Limit: 2, Ascending: true}))
}

func TestListTenants_Filters(t *testing.T) {
	t.Parallel()
	b := newBundle(t, "acme", "acme-two", "zebra")
	b.exec(`UPDATE tenants SET name = 'émile & Co', domain = 'emile.example' WHERE id = 'zebra'`)
	_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: "fresh", Name: "100% fresh_", Domain: "fresh.example"})
	require.NoError(t, err)
	for prefix, want := range map[string][]string{
		"acme": {"acme-two", "acme"}, "ACME-T": {"acme-two"}, "émi": {"zebra"}, "éMI": {"zebra"}, "emile.": {"zebra"}, "100%": {"fresh"},
		"%": {}, "_": {}, "cme": {}, "' OR 1=1 --": {},
	} {
		require.Equal(t, [][]string{want}, b.listed(store.TenantQuery{Prefix: prefix, Limit: 10}), prefix)
	}
	require.Equal(t, [][]string{{"fresh"}}, b.listed(store.TenantQuery{Status: tenant.Provisioning, Limit: 10}))
	require.Equal(t, [][]string{{"zebra"}, {"acme-two"}, {"acme"}}, b.listed(store.TenantQuery{Status: tenant.Active, Limit: 1}))
}

func TestListTenants_RefusesStrangeCursors(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	for _, after := range strangeCursors {
		_, _, err := b.ListTenants(t.Context(), store.TenantQuery{After: after, Limit: 10})
		requireCursorRefused(t, err)
	}
	_, next, err := b.ListTenants(t.Context(), store.TenantQuery{Limit: 1})
	require.NoError(t, err)
	for _, q := range []store.TenantQuery{{Sort: store.ByName}, {Ascending: true}} { // the cursor of another list
		q.After, q.Limit = next, 1
		_, _, err := b.ListTenants(t.Context(), q)
		requireCursorRefused(t, err)
	}
	_, _, err = b.ListTenants(t.Context(), store.TenantQuery{Sort: "id; DROP TABLE tenants", Limit: 1})
	requireFault(t, err, fault.Internal, "unknown_sort")
}

// finish gives an email of a tenant an end.
func (b *bundle) finish(tenantID, verdict string, at time.Time) {
	b.t.Helper()
	b.exec(`INSERT INTO events (tenant_id, type, created_at) VALUES ($1, 'email.' || $2::text, $3)`, tenantID, verdict, at)
}

// counted makes summaries until so many outcomes are in them. Transactions of other tests on the same server delay them,
// since a younger event may not be counted before an older one.
func (b *bundle) counted(tenantID string, outcomes int, now time.Time) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		require.NoError(b.t, b.MakeSummaries(b.t.Context(), now))
		s := b.summary(tenantID)
		require.LessOrEqual(b.t, s.Sent+s.Bounced, outcomes)
		return s.Sent+s.Bounced == outcomes
	}, 30*time.Second, 20*time.Millisecond)
}

func TestMakeSummaries(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other, "quiet")
	require.Nil(t, b.summary(acme).Day, "there is none yet")
	before := time.Now().Add(-time.Second)
	b.accept(newEmail(acme, "a@example.com", "b@example.com"))
	b.dispatch(newEmail(other, "a@example.com"), newEmail(other, "b@example.com", "c@example.com"))
	now := time.Now()
	for range 3 {
		b.finish(acme, "sent", now)
	}
	b.finish(acme, "bounced", now.Add(-6*24*time.Hour))
	b.finish(acme, "bounced", now.Add(-8*24*time.Hour))
	b.finish(other, "failed", now)
	b.counted(acme, 4, now)
	for range 2 { // what was counted is not counted again
		require.NoError(t, b.MakeSummaries(t.Context(), now))
		s := b.summary(acme)
		require.Equal(t, []int{2, 2, 3, 1}, []int{s.Used, s.Backlog, s.Sent, s.Bounced})
		require.WithinRange(t, *s.OldestAt, before, now)
		require.WithinDuration(t, now, s.MadeAt, time.Millisecond)
		require.Equal(t, now.UTC().Format(time.DateOnly), s.Day.Format(time.DateOnly))
		s = b.summary(other)
		require.Equal(t, []int{3, 3, 0, 0}, []int{s.Used, s.Backlog, s.Sent, s.Bounced})
		s = b.summary("quiet")
		require.Equal(t, []int{0, 0, 0, 0}, []int{s.Used, s.Backlog, s.Sent, s.Bounced})
		require.Nil(t, s.OldestAt)
	}
	b.finish(acme, "bounced", now)
	b.exec(`UPDATE recipients SET status = 'sent' WHERE tenant_id = $1`, other)
	b.counted(acme, 5, now)
	require.NoError(t, b.MakeSummaries(t.Context(), now.Add(24*time.Hour)))
	s := b.summary(acme)
	require.Equal(t, []int{0, 2, 3, 1}, []int{s.Used, s.Backlog, s.Sent, s.Bounced}, "a day later")
	require.Zero(t, b.summary(other).Backlog)
	require.Nil(t, b.summary(other).OldestAt)
}

func TestListTenants_Sorts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, "a", "b", "c", "d")
	b.exec(`INSERT INTO tenant_summaries (tenant_id, day, used, backlog, oldest_at, sent, bounced, counted)
		SELECT id, 'today', used, backlog, oldest, sent, bounced, gen_random_uuid() FROM (VALUES
			('a', 1, 5, now() - interval '1 hour', 90, 10), ('b', 3, 7, now(), 100, 0), ('c', 3, 0, NULL, 0, 0)) AS v (id, used, backlog, oldest, sent, bounced)`)
	b.exec(`UPDATE tenants SET name = CASE id WHEN 'a' THEN 'delta' WHEN 'b' THEN 'Charlie' WHEN 'c' THEN 'bravo' ELSE 'Alpha' END`)
	for sort, want := range map[store.TenantSort][]string{
		store.ByUsed: {"c", "b", "a", "d"}, store.ByBacklog: {"b", "a", "d", "c"}, store.ByOldestWaiting: {"a", "b", "c", "d"},
		store.ByBounceRate: {"a", "b", "d", "c"}, store.ByName: {"a", "b", "c", "d"}, store.ByCreation: {"d", "c", "b", "a"},
	} {
		for _, limit := range []int{1, 2, 3, 10} {
			require.Equal(t, want, slices.Concat(b.listed(store.TenantQuery{Sort: sort, Limit: limit})...), "%s by %d", sort, limit)
			backwards := slices.Clone(want)
			slices.Reverse(backwards)
			require.Equal(t, backwards, slices.Concat(b.listed(store.TenantQuery{Sort: sort, Ascending: true, Limit: limit})...), "%s by %d", sort, limit)
		}
	}
}

// Processes that make them at the same time do not wait for each other, and count nothing twice.
func TestMakeSummaries_InParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for range 20 {
		b.finish(acme, "sent", time.Now())
		require.NoError(t, inParallel(4, func(int) error { return b.MakeSummaries(t.Context(), time.Now()) }))
	}
	b.counted(acme, 20, time.Now())
}

// They are the operators' alone, and go with their tenant.
func TestSummaries_AreTheOperatorsAndGoWithTheTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.finish(acme, "sent", time.Now())
	b.counted(acme, 1, time.Now())
	for _, table := range []string{"tenant_summaries", "tenant_outcomes", "tenant_summaries_made"} {
		b.requireRefused("mailtura_request", `SELECT FROM `+table)
		require.Equal(t, 1, ask[int](b, `SELECT count(*)::int FROM `+table), table)
	}
	b.exec(`DELETE FROM events`)
	b.exec(`DELETE FROM tenants`)
	require.Zero(t, ask[int](b, `SELECT (SELECT count(*) FROM tenant_summaries)::int + (SELECT count(*) FROM tenant_outcomes)::int`))
}
