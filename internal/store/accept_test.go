package store_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestAccept_KeepsWhatIsNeededToCompose(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "ada@example.com", "bob@example.com")
	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.Tags, e.Metadata = []string{"invoice"}, json.RawMessage(`{"order": 4711}`)
	e.Content = email.Content{
		HTML: "<p>{{name}}</p>\x00", Text: "{{name}}", Variables: json.RawMessage(`{"name":"Ada"}`), ReplyTo: "help@acme.com",
		Headers:     []email.Header{{Name: "X-Order", Value: "4711"}},
		Attachments: []email.Attachment{{Filename: "a.bin", ContentType: "application/octet-stream", Content: []byte{0, 255, 1}}},
	}
	b.accept(e)
	letters, err := b.LoadLetters(t.Context(), acme, idsOf([]email.Email{e, newEmail(acme)}))
	require.NoError(t, err)
	require.Len(t, letters, 1, "of those that exist")
	got := letters[e.ID].Email
	require.JSONEq(t, string(e.Metadata), string(got.Metadata))
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	require.Equal(t, got.CreatedAt, got.TriedSince)
	got.Metadata, got.CreatedAt, got.TriedSince = e.Metadata, e.CreatedAt, e.TriedSince
	require.Equal(t, e, got)
	require.Nil(t, letters[e.ID].Template)
}

func TestAccept_ReceiptsOfAGroup(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	limit, weight := 3, 5
	b.activate("limited", tenant.Settings{DailyLimit: &limit, Weight: &weight})
	_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: "new", Name: "New", Domain: "new.com"})
	require.NoError(t, err)
	at := time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC)
	group := []email.Email{
		newEmail("limited", "a@example.com", "b@example.com"),
		newEmail("nobody", "a@example.com"),
		newEmail(acme, "a@example.com"),
		newEmail("limited", "c@example.com", "d@example.com"), // does not fit
		newEmail("new", "a@example.com"),
		newEmail("limited", "e@example.com"), // fits all the same
		newEmail(acme, "b@example.com"),
	}
	receipts, err := acceptAt(t.Context(), b.Store, at, group)
	require.NoError(t, err)
	require.Len(t, receipts, len(group))

	over := requireFault(t, receipts[3].Err, fault.Exhausted, "daily_limit_reached")
	require.Equal(t, 6*time.Hour, over.RetryAfter)
	require.Equal(t, map[string]any{"limit": 3, "used": 2, "requested": 2, "resetsAt": at.Add(6 * time.Hour)}, over.Extra)
	requireFault(t, receipts[1].Err, fault.NotFound, "tenant_not_found")
	requireFault(t, receipts[4].Err, fault.Conflict, "tenant_provisioning")
	for i, used := range map[int]int{0: 2, 2: 1, 5: 3, 6: 2} {
		require.NoError(t, receipts[i].Err)
		require.Equal(t, used, receipts[i].Quota.Used, "email %d", i)
		require.True(t, at.Add(6*time.Hour).Equal(receipts[i].Quota.ResetsAt))
	}
	require.Equal(t, [2]float32{5, 1}, [2]float32{receipts[0].Weight, receipts[2].Weight})
	require.Equal(t, 0, *receipts[5].Quota.Remaining())
	require.Nil(t, receipts[2].Quota.Limit)

	for i, e := range group {
		_, err := b.Email(t.Context(), e.TenantID, e.ID)
		require.Equal(t, receipts[i].Err == nil, err == nil, "email %d", i)
	}
	require.EqualValues(t, 4, ask[int64](b, `SELECT count(*) FROM emails`))
	require.EqualValues(t, 3, ask[int64](b, `SELECT reserved FROM daily_usage WHERE tenant_id = 'limited'`))
	require.EqualValues(t, 2, ask[int64](b, `SELECT count(*) FROM daily_usage`))
}

func TestAccept_DayOfTheTenantsZone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 1
	b.activate(acme, tenant.Settings{DailyLimit: &limit, Timezone: "Europe/Berlin"})
	midnight := time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC) // in Berlin
	for _, want := range []struct {
		at       time.Time
		accepted bool
	}{{midnight.Add(-2 * time.Hour), true}, {midnight.Add(-time.Second), false}, {midnight, true}, {midnight.Add(time.Hour), false}} {
		receipts, err := acceptAt(t.Context(), b.Store, want.at, []email.Email{newEmail(acme, "ada@example.com")})
		require.NoError(t, err)
		require.Equal(t, want.accepted, receipts[0].Err == nil, "%s", want.at)
	}
}

// The promise of the daily limit: exact, however many processes accept at once.
func TestAccept_DailyLimitIsExactInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 100
	names := []string{"one", "two", "three"}
	for _, name := range names {
		b.activate(name, tenant.Settings{DailyLimit: &limit})
	}
	second := open(t, b.url) // another process
	at := time.Now()
	accepted := map[string]*atomic.Int64{"one": {}, "two": {}, "three": {}}
	require.NoError(t, inParallel(20, func(i int) error {
		ledger := intake.Ledger(b.Store)
		if i%2 == 1 {
			ledger = second
		}
		var group []email.Email
		for n := range 15 { // each in an order of its own; 20 × 15 × 2 recipients for 3 × 100
			group = append(group, newEmail(names[(i+n)%3], "a"+strconv.Itoa(n)+"@example.com", "b@example.com"))
		}
		receipts, err := acceptAt(t.Context(), ledger, at, group)
		for n, receipt := range receipts {
			switch {
			case receipt.Err == nil:
				accepted[group[n].TenantID].Add(2)
			case fault.CodeOf(receipt.Err) != "daily_limit_reached":
				err = errors.Join(err, receipt.Err)
			}
		}
		return err
	}))
	for _, name := range names {
		require.EqualValues(t, limit, accepted[name].Load())
		require.EqualValues(t, limit, ask[int64](b, `SELECT count(*) FROM recipients WHERE tenant_id = $1`, name))
		require.EqualValues(t, limit, ask[int64](b, `SELECT reserved FROM daily_usage WHERE tenant_id = $1`, name))
	}
}

func TestAccept_LoweredLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.accept(newEmail(acme, "a@example.com", "b@example.com"))
	limit := 1
	_, err := b.UpdateTenant(t.Context(), acme, func(u *tenant.Tenant) error {
		u.Settings.DailyLimit = &limit
		return nil
	})
	require.NoError(t, err)
	receipts, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, "c@example.com")})
	require.NoError(t, err)
	over := requireFault(t, receipts[0].Err, fault.Exhausted, "daily_limit_reached")
	require.Equal(t, 2, over.Extra["used"])
}

func TestAccept_NothingOfATenantThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	_, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	e := newEmail(acme, "ada@example.com")
	receipts, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{e, newEmail(other, "ada@example.com")})
	require.NoError(t, err)
	requireFault(t, receipts[0].Err, fault.Conflict, "tenant_deleting")
	require.NoError(t, receipts[1].Err)
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM emails WHERE tenant_id = $1`, acme))
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM daily_usage WHERE tenant_id = $1`, acme))
}

// A fence that is being set is waited for, so nothing is accepted behind it.
func TestAccept_WaitsForTheFence(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	fence := connect(t, b.url)
	tx, err := fence.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE tenants SET status = 'deleting' WHERE id = $1`, acme)
	require.NoError(t, err)
	answer := make(chan error, 1)
	go func() {
		receipts, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, "ada@example.com")})
		if err == nil {
			err = receipts[0].Err
		}
		answer <- err
	}()
	b.awaitLock()
	require.Empty(t, answer)
	require.NoError(t, tx.Commit(t.Context()))
	requireFault(t, <-answer, fault.Conflict, "tenant_deleting")
}

// awaitLock returns when a statement of the store waits for a lock.
func (b *bundle) awaitLock() (pid int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		err := b.conn.QueryRow(b.t.Context(), `SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&pid)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	return pid
}

func TestAccept_WritesAllOrNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	twice := newEmail(acme, "ada@example.com")
	b.accept(twice)
	before := ask[int64](b, `SELECT reserved FROM daily_usage WHERE tenant_id = $1`, acme)

	badJSON, nulInMetadata, badKind, nulInSubject := newEmail(acme, "x@example.com"), newEmail(acme, "x@example.com"),
		newEmail(acme, "x@example.com"), newEmail(acme, "x@example.com")
	badJSON.Metadata = json.RawMessage(`{`)
	nulInMetadata.Metadata = json.RawMessage(`{"a": "\u0000"}`)
	badKind.Recipients[0].Kind = "from"
	nulInSubject.Subject = "a\x00b"
	for want, poison := range map[string]email.Email{
		"again": twice, "JSON": badJSON, "NUL in metadata": nulInMetadata, "kind": badKind, "NUL in subject": nulInSubject,
	} {
		_, err := acceptAt(t.Context(), b.Store, time.Now(), []email.Email{newEmail(acme, "bob@example.com"), newEmail(other, "bob@example.com"), poison})
		require.Error(t, err, want)
		require.NotEqual(t, fault.Unavailable, fault.KindOf(err), "trying again would not help: %s", want)
	}
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM emails`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM recipients`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM email_contents`))
	require.Equal(t, before, ask[int64](b, `SELECT reserved FROM daily_usage WHERE tenant_id = $1`, acme))
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM daily_usage WHERE tenant_id = $1`, other))
}
