package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/metric"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

var clockChange = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC) // Berlin's clocks went forward in the night before

// cell is a group in a window.
type cell struct {
	window int
	metric.Group
}

func (b *bundle) metrics(tenantID string, q metric.Query) map[cell]metric.Counts {
	b.t.Helper()
	table, err := b.Metrics(b.t.Context(), tenantID, q)
	require.NoError(b.t, err)
	out := map[cell]metric.Counts{}
	table.Each(func(window, group int, c *metric.Counts) { out[cell{window, table.Groups[group]}] = *c })
	return out
}

// drain rolls up until nothing is left: transactions of other tests hold events back for a moment.
func (b *bundle) drain(tenantID string, limit int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		_, err := b.RollMetrics(b.t.Context(), tenantID, limit)
		require.NoError(b.t, err)
		return !ask[bool](b, `SELECT EXISTS (SELECT FROM events WHERE tenant_id = $1 AND id >
			coalesce((SELECT event_id FROM metric_cursors WHERE tenant_id = $1), '00000000-0000-0000-0000-000000000000'))`, tenantID)
	}, 30*time.Second, 5*time.Millisecond)
}

func query(d metric.Dimension, i metric.Interval, zone string) metric.Query {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	return metric.NewQuery(d, i, clockChange.Add(-48*time.Hour), clockChange.Add(48*time.Hour), loc)
}

// people are recipients of emails with tags and templates.
type people struct {
	recipients, emails []uuid.UUID
}

func (b *bundle) people(tenantID string, n int) (p people) {
	b.t.Helper()
	for i := range n {
		e := newEmail(tenantID, fmt.Sprintf("x@d%d.example", i%5))
		e.Tags = [][]string{nil, {"a"}, {"a", "b"}}[i%3]
		b.accept(e)
		p.emails, p.recipients = append(p.emails, e.ID), append(p.recipients, e.Recipients[0].ID)
	}
	b.exec("UPDATE events SET created_at = $2 WHERE tenant_id = $1", tenantID, clockChange)
	return p
}

var kinds = []string{
	"email.accepted", "email.sent", "email.delivered", "email.deferred", "email.bounced", "email.failed", "email.complained", "email.opened",
	"email.clicked", "email.unsubscribed", "email.suppressed", "email.expired", "email.cancelled", "email.unknown", "email.scheduled", "quota.reached",
}

// recount counts the events themselves, in SQL of its own.
func (b *bundle) recount(tenantID string, q metric.Query) map[cell]metric.Counts {
	b.t.Helper()
	key := map[metric.Dimension]string{
		metric.All: "''", metric.Domain: "split_part(r.address, '@', 2)", metric.Tag: "coalesce(tag, '')", metric.Template: "coalesce(t.name, '')",
	}[q.Dimension]
	tags := "LEFT JOIN LATERAL (SELECT DISTINCT unnest(e.tags) AS tag) tags ON true"
	if q.Dimension != metric.Tag {
		tags = ""
	}
	out := map[cell]metric.Counts{}
	for i, w := range q.Windows {
		rows, err := b.conn.Query(b.t.Context(), `
			WITH v AS (SELECT *, coalesce(data ->> 'automated', 'false') = 'true' AS bot,
				row_number() OVER (PARTITION BY recipient_id, type, coalesce(data ->> 'automated', 'false') = 'true' ORDER BY id) = 1 AS first
				FROM events WHERE tenant_id = $1)
			SELECT `+key+`, CASE WHEN v.type IN ('email.opened', 'email.clicked') AND bot THEN 'automated' ELSE '' END || v.type, count(*),
				count(*) FILTER (WHERE first)
			FROM v JOIN emails e ON e.id = v.email_id JOIN recipients r ON r.id = v.recipient_id LEFT JOIN templates t ON t.id = e.template_id `+tags+`
			WHERE v.created_at >= $2 AND v.created_at < $3 AND v.type NOT IN ('email.scheduled', 'quota.reached') GROUP BY 1, 2`, tenantID, w.Start, w.End)
		require.NoError(b.t, err)
		var group, kind string
		var n, first int64
		_, err = pgx.ForEachRow(rows, []any{&group, &kind, &n, &first}, func() error {
			at := cell{i, metric.Group{Key: group}}
			c := out[at]
			*map[string]*int64{
				"email.accepted": &c.Accepted, "email.sent": &c.Sent, "email.delivered": &c.Delivered, "email.deferred": &c.Deferred,
				"email.bounced": &c.Bounced, "email.failed": &c.Failed, "email.complained": &c.Complained, "email.opened": &c.Opened,
				"email.clicked": &c.Clicked, "email.unsubscribed": &c.Unsubscribed, "email.suppressed": &c.Suppressed, "email.expired": &c.Expired,
				"email.cancelled": &c.Cancelled, "email.unknown": &c.Unknown, "automatedemail.opened": &c.AutomatedOpened,
				"automatedemail.clicked": &c.AutomatedClicked,
			}[kind] = n
			switch kind {
			case "email.opened":
				c.UniqueOpened = first
			case "email.clicked":
				c.UniqueClicked = first
			}
			out[at] = c
			return nil
		})
		require.NoError(b.t, err)
	}
	return out
}

func (b *bundle) requireExact(tenantID, zone string) {
	b.t.Helper()
	for _, d := range []metric.Dimension{metric.All, metric.Template, metric.Tag, metric.Domain} {
		for _, i := range []metric.Interval{metric.ByHour, metric.ByDay, metric.Whole} {
			q := query(d, i, zone)
			require.Equal(b.t, b.recount(tenantID, q), b.metrics(tenantID, q), "%s by %s in %s", d, i, zone)
		}
	}
}

// With writers that commit in any order or not at all, and rollers that are cut off anywhere,
// what is answered is what a recount gives, before, between and after.
func TestMetrics_EqualARecount(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	zone := "Europe/Berlin"
	b.setZone(acme, zone)
	p := b.people(acme, 12)
	b.people(other, 3)
	b.requireExact(acme, zone)
	for range 3 {
		b.race(p)
		b.requireExact(acme, zone)
	}
	b.drain(acme, 7)
	b.requireExact(acme, zone)
	require.Positive(t, ask[int](b, "SELECT count(*) FROM metrics WHERE tenant_id = $1 AND unique_opened > 0", acme))

	b.setZone(acme, "Asia/Kolkata")
	b.requireExact(acme, "Asia/Kolkata")
	require.Contains(t, b.toRoll(), acme, "its days are to be made anew")
	b.drain(acme, 1000)
	_, err := b.RollMetrics(t.Context(), acme, 1000)
	require.NoError(t, err)
	require.NotContains(t, b.toRoll(), acme)
	b.requireExact(acme, "Asia/Kolkata")
}

func (b *bundle) toRoll() []string {
	b.t.Helper()
	ids, err := b.TenantsToRoll(b.t.Context(), "", 100)
	require.NoError(b.t, err)
	return ids
}

func (b *bundle) setZone(tenantID, zone string) {
	b.t.Helper()
	_, err := b.UpdateTenant(b.t.Context(), tenantID, func(t *tenant.Tenant) error { t.Settings.Timezone = zone; return nil })
	require.NoError(b.t, err)
}

// race has writers and rollers at acme at the same time.
func (b *bundle) race(p people) {
	b.t.Helper()
	var writers, rollers sync.WaitGroup
	done := make(chan struct{})
	for n := range 3 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), uint64(n)))
			conn, err := pgx.Connect(b.t.Context(), b.url)
			if err != nil {
				b.t.Error(err)
				return
			}
			defer conn.Close(context.Background()) //nolint:errcheck // a test's connection
			for range 40 {
				if err := writeSome(b.t.Context(), conn, p, r); err != nil {
					b.t.Error(err)
				}
			}
		})
	}
	for range 2 {
		rollers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(b.t.Context(), time.Duration(rand.Int64N(int64(8*time.Millisecond))))
				_, _ = b.RollMetrics(ctx, acme, 1+rand.IntN(20)) // cut off somewhere
				cancel()
			}
		})
	}
	writers.Wait()
	close(done)
	rollers.Wait()
}

// writeSome writes some events in a transaction, which may be rolled back.
func writeSome(ctx context.Context, conn *pgx.Conn, p people, r *rand.Rand) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	for range 1 + r.IntN(4) {
		i := r.IntN(len(p.emails))
		at := clockChange.Add(time.Duration(r.Int64N(int64(60*time.Hour))) - 30*time.Hour)
		data, _ := json.Marshal(map[string]bool{"automated": r.IntN(3) == 0})
		if _, err := tx.Exec(ctx, `INSERT INTO events (tenant_id, type, email_id, recipient_id, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			acme, kinds[r.IntN(len(kinds))], p.emails[i], p.recipients[i], data, at); err != nil {
			return err
		}
	}
	if r.IntN(5) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

func TestMetrics_OfOneTenantOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	b.people(acme, 4)
	q := query(metric.Domain, metric.Whole, "UTC")
	require.Empty(t, b.metrics(other, q))
	b.drain(acme, 100)
	require.Empty(t, b.metrics(other, q))
	require.Len(t, b.metrics(acme, q), 4)
	_, err := b.conn.Exec(t.Context(), "SET ROLE mailtura_request")
	require.NoError(t, err)
	for _, table := range []string{"metrics", "metric_uniques", "metric_cursors"} {
		require.Zero(t, ask[int](b, "SELECT count(*) FROM "+table), "%s without a tenant", table)
	}
}

// The groups with the most events are shown, wherever these are, and the rest is other.
func TestMetrics_Groups(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	many := func(from, to, times int) {
		for i := from; i < to; i++ {
			e := newEmail(acme, "x@example.com")
			e.Tags = []string{fmt.Sprintf("tag%03d", i)}
			for range times {
				e.Recipients = append(e.Recipients, newEmail(acme, "y@example.com").Recipients...)
			}
			b.accept(e)
		}
		b.exec("UPDATE events SET created_at = $2 WHERE tenant_id = $1", acme, clockChange)
	}
	many(0, 60, 0)
	b.drain(acme, 1000)
	many(60, 110, 1)
	cells := b.metrics(acme, query(metric.Tag, metric.Whole, "UTC"))
	require.Len(t, cells, 101)
	require.EqualValues(t, 2, cells[cell{0, metric.Group{Key: "tag109"}}].Accepted)
	require.EqualValues(t, 1, cells[cell{0, metric.Group{Key: "tag049"}}].Accepted)
	require.EqualValues(t, 10, cells[cell{0, metric.Group{Other: true}}].Accepted)
}

// More rows than are read one by one are summed in the database; quarters are, too, while the days are those of another
// time zone.
func TestMetrics_ManyRows(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, grain := range []string{"day", "quarter"} {
		b.exec(`INSERT INTO metrics (tenant_id, dimension, grain, at, key, sent, unknown)
			SELECT $1, 'domain', $2, at, 'd' || k, k, 1
			FROM generate_series('2026-01-01Z'::timestamptz, '2026-03-31Z', '1 day') at, generate_series(1, 250) k`, acme, grain)
	}
	b.exec("INSERT INTO metric_cursors VALUES ($1, '00000000-0000-0000-0000-000000000000', 'UTC')", acme)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, zone := range []string{"UTC", "Etc/UTC"} { // the second is none that the days are in
		loc, err := time.LoadLocation(zone)
		require.NoError(t, err)
		want := map[cell]metric.Counts{}
		for day := range 90 {
			for k := range 100 {
				want[cell{day, metric.Group{Key: fmt.Sprint("d", 250-k)}}] = metric.Counts{Sent: int64(250 - k), Unknown: 1}
			}
			want[cell{day, metric.Group{Other: true}}] = metric.Counts{Sent: 150 * 151 / 2, Unknown: 150}
		}
		require.Equal(t, want, b.metrics(acme, metric.NewQuery(metric.Domain, metric.ByDay, from, from.AddDate(0, 0, 90), loc)), zone)
		few := b.metrics(acme, metric.NewQuery(metric.Domain, metric.ByDay, from, from.AddDate(0, 0, 7), loc))
		require.Len(t, few, 7*101)
		for at, c := range few {
			require.Equal(t, want[at], c)
		}
	}
}

// A roller does nothing for a tenant that is being deleted, and what it has made is deleted.
func TestMetrics_OfATenantThatGoes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.people(acme, 2)
	b.drain(acme, 100)
	d, err := b.BeginDeletion(t.Context(), acme, nil, func(tenant.Tenant) error { return nil })
	require.NoError(t, err)
	rolled, err := b.RollMetrics(t.Context(), acme, 100)
	require.NoError(t, err)
	require.Zero(t, rolled)
	require.Empty(t, b.toRoll())
	for _, table := range store.TenantTables {
		for {
			deleted, err := b.DeleteTenantRows(t.Context(), acme, d.ID, table, 100)
			require.NoError(t, err)
			if len(deleted) == 0 {
				break
			}
		}
	}
	rolled, err = b.RollMetrics(t.Context(), acme, 100)
	require.NoError(t, err)
	require.Zero(t, rolled)
	finished, err := b.FinishDeletion(t.Context(), acme, d.ID)
	require.NoError(t, err)
	require.True(t, finished)
	rolled, err = b.RollMetrics(t.Context(), acme, 100)
	require.NoError(t, err)
	require.Zero(t, rolled)
}

// Every counter has a column, and the column its counter.
func TestMetrics_Columns(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	raw, err := json.Marshal(metric.Counts{})
	require.NoError(t, err)
	var names map[string]int64
	require.NoError(t, json.Unmarshal(raw, &names))
	require.Len(t, names, ask[int](b, `SELECT count(*) FROM information_schema.columns WHERE table_name = 'metrics' AND data_type = 'integer'`))
}
