package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/tenant"
)

// noon is a time at which most of these tests are; no clock stands behind it.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// midnight is the beginning of the day so many days after noon's.
func midnight(days int) time.Time { return time.Date(2026, 11, 24+days, 0, 0, 0, 0, time.UTC) }

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// queueing makes an active tenant that lets mail over its daily limit wait.
func (b *bundle) queueing(tenantID string, limit int) {
	b.t.Helper()
	b.activate(tenantID, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue})
}

// setLimit changes a tenant's daily limit; a negative one removes it.
func (b *bundle) setLimit(tenantID string, limit int) {
	b.t.Helper()
	b.set(tenantID, func(s *tenant.Settings) {
		if s.DailyLimit = &limit; limit < 0 {
			s.DailyLimit = nil
		}
	})
}

// rehold has a tenant's changed limit take effect, and gives the bulk sends that it concerns.
func (b *bundle) rehold(tenantID string, now time.Time) []uuid.UUID {
	b.t.Helper()
	bulkSends, err := b.Rehold(b.t.Context(), tenantID, now)
	require.NoError(b.t, err)
	return bulkSends
}

func (b *bundle) set(tenantID string, change func(*tenant.Settings)) {
	b.t.Helper()
	_, err := b.UpdateTenant(b.t.Context(), tenantID, func(u *tenant.Tenant) error {
		change(&u.Settings)
		return nil
	})
	require.NoError(b.t, err)
}

// try accepts one email at a time and gives its receipt.
func (b *bundle) try(at time.Time, e email.Email) intake.Receipt {
	b.t.Helper()
	receipts, err := acceptAt(b.t.Context(), b.Store, at, []email.Email{e})
	require.NoError(b.t, err)
	return receipts[0]
}

// acceptAll accepts emails one after the other and requires that none is refused.
func (b *bundle) acceptAll(at time.Time, emails ...email.Email) {
	b.t.Helper()
	for _, e := range emails {
		require.NoError(b.t, b.try(at, e).Err)
	}
}

// to is an email of acme to so many recipients.
func to(n int) email.Email {
	e := newEmail(acme)
	for range n {
		r := newEmail(acme, "ada@example.com").Recipients[0]
		e.Recipients = append(e.Recipients, r)
	}
	return e
}

// reserved gives what a tenant has reserved by day.
func (b *bundle) reserved(tenantID string) map[string]int {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(), `SELECT day::text, reserved FROM daily_usage WHERE tenant_id = $1 AND reserved > 0`, tenantID)
	require.NoError(b.t, err)
	days := map[string]int{}
	var day string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&day, &n}, func() error {
		days[day] = n
		return nil
	})
	require.NoError(b.t, err)
	return days
}

// stands is where an email stands: its status, and until when it waits.
func (b *bundle) stands(e email.Email) (email.Status, time.Time) {
	b.t.Helper()
	record, err := b.Email(b.t.Context(), e.TenantID, e.ID)
	require.NoError(b.t, err)
	if record.ReleaseAt == nil {
		return record.Status(), time.Time{}
	}
	return record.Status(), record.ReleaseAt.UTC()
}

func (b *bundle) requireStands(e email.Email, status email.Status, until time.Time) {
	b.t.Helper()
	got, at := b.stands(e)
	require.Equal(b.t, status, got)
	require.Equal(b.t, until, at)
}

// The night after this day is one hour longer in Berlin.
func TestHeld_OnTheFirstDayWithRoom(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 3
	b.activate(acme, tenant.Settings{DailyLimit: &limit, OverLimit: tenant.Queue, Timezone: "Europe/Berlin"})
	at := time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC)
	sunday, monday := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 23, 0, 0, 0, time.UTC)
	emails := []email.Email{}
	for _, want := range []struct {
		recipients int
		status     email.Status
		day        string
		releaseAt  time.Time
		used       int
	}{
		{2, email.Queued, "2026-10-24", time.Time{}, 2},
		{2, email.Held, "2026-10-25", sunday, 2},
		{1, email.Queued, "2026-10-24", time.Time{}, 3}, // still fits
		{2, email.Held, "2026-10-26", monday, 3},
		{1, email.Held, "2026-10-25", sunday, 3},
	} {
		e := to(want.recipients)
		receipt := b.try(at, e)
		require.NoError(t, receipt.Err)
		require.Equal(t, want.status, receipt.Status)
		require.Equal(t, want.day, receipt.Day)
		require.True(t, want.releaseAt.Equal(receipt.ReleaseAt))
		require.Equal(t, want.used, receipt.Quota.Used, "of today")
		b.requireStands(e, want.status, want.releaseAt)
		emails = append(emails, e)
	}
	over := requireFault(t, b.try(at, to(4)).Err, fault.Exhausted, "daily_limit_reached")
	require.Equal(t, 3, over.Extra["used"], "no day ever has room for four")
	require.Equal(t, map[string]int{"2026-10-24": 3, "2026-10-25": 3, "2026-10-26": 2}, b.reserved(acme))

	stale, err := b.ListStaleEmails(t.Context(), at.Add(time.Minute), 10)
	require.NoError(t, err)
	require.Len(t, stale, 2, "no sweep comes to what is held")
	claimed, err := b.ClaimDispatch(t.Context(), acme, email.Transactional, id.New(), idsOf(emails))
	require.NoError(t, err)
	require.Equal(t, 2, claimed, "nor a dispatch")
}

// It would be of no use: to say so at once is kinder than to let it expire.
func TestHeld_NotBeyondItsExpiry(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	b.acceptAll(noon, to(1))
	tooShort, enough := to(1), to(1)
	tooShort.ExpiresAt, enough.ExpiresAt = midnight(1).Add(-time.Second), midnight(1).Add(time.Hour)
	requireFault(t, b.try(noon, tooShort).Err, fault.Exhausted, "daily_limit_reached")
	require.Equal(t, map[string]int{"2026-11-24": 1}, b.reserved(acme), "its day is given back")
	b.acceptAll(noon, enough)
	b.requireStands(enough, email.Held, midnight(1))
}

func TestHeld_WhatIsScheduledCountsOnItsDay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 2)
	first, second, urgent := to(2), to(1), to(2)
	first.ScheduledAt, second.ScheduledAt = noon.AddDate(0, 0, 3), noon.AddDate(0, 0, 3).Add(time.Hour)
	b.acceptAll(noon, first, second, urgent)
	b.requireStands(first, email.Scheduled, first.ScheduledAt)
	b.requireStands(second, email.Held, midnight(4)) // that day is full
	b.requireStands(urgent, email.Queued, time.Time{})
	require.Equal(t, map[string]int{"2026-11-24": 2, "2026-11-27": 2, "2026-11-28": 1}, b.reserved(acme))

	b.set(acme, func(s *tenant.Settings) { s.OverLimit = tenant.Reject })
	third := to(1)
	third.ScheduledAt = second.ScheduledAt
	over := requireFault(t, b.try(noon, third).Err, fault.Exhausted, "daily_limit_reached")
	require.Equal(t, midnight(4).Sub(noon), over.RetryAfter, "of the day that is full")
	require.Equal(t, 2, over.Extra["used"])
}

func TestUsage_OfWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 2)
	later := to(1)
	later.ScheduledAt = noon.AddDate(0, 0, 2)
	b.acceptAll(noon, to(2), to(2), later)
	who, err := b.Tenant(t.Context(), acme)
	require.NoError(t, err)
	u, err := b.Usage(t.Context(), who, noon)
	require.NoError(t, err)
	require.Equal(t, [3]int{2, 2, 2}, [3]int{u.Standing.Used, u.Held, u.Backlog}, "what is scheduled is none of these")
}

func TestRehold_RaisedLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t, other)
	b.queueing(acme, 2)
	emails := []email.Email{to(2), to(2), to(2), to(2)}
	b.acceptAll(noon, emails...)
	for i, e := range emails[1:] {
		b.requireStands(e, email.Held, midnight(i+1))
	}
	b.setLimit(acme, 4)
	b.rehold(acme, noon.Add(time.Hour))
	b.requireStands(emails[1], email.Held, noon.Add(time.Hour)) // today: the next release takes it
	b.requireStands(emails[2], email.Held, midnight(1))
	b.requireStands(emails[3], email.Held, midnight(1))
	require.Equal(t, map[string]int{"2026-11-24": 4, "2026-11-25": 4}, b.reserved(acme))

	b.setLimit(acme, -1)
	b.rehold(acme, noon.Add(2*time.Hour))
	require.Equal(t, map[string]int{"2026-11-24": 8}, b.reserved(acme))
	released, err := b.Release(t.Context(), noon.Add(2*time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, released, 3)
	require.Empty(t, b.rehold(other, noon), "nothing is held")
}

func TestRehold_LoweredLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 4)
	sent, two, one := to(4), to(2), to(1)
	b.acceptAll(noon, sent, two, one)
	b.setLimit(acme, 1)
	b.rehold(acme, noon)
	b.requireStands(two, email.Held, time.Time{}) // nobody knows until when
	b.requireStands(one, email.Held, midnight(1))
	require.Equal(t, map[string]int{"2026-11-24": 4, "2026-11-25": 1}, b.reserved(acme), "what is accepted for today stays")
	released, err := b.Release(t.Context(), noon.AddDate(1, 0, 0), 10)
	require.NoError(t, err)
	require.Len(t, released, 1)

	b.setLimit(acme, 2)
	b.rehold(acme, noon.Add(time.Hour))
	b.requireStands(two, email.Held, midnight(2)) // the 25th has one already
	require.Equal(t, map[string]int{"2026-11-24": 4, "2026-11-25": 1, "2026-11-26": 2}, b.reserved(acme))
}

// What no day has room for before its expiry is released at that time, to expire.
func TestRehold_ExpiresInTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 2)
	stays, large, late := to(1), to(2), to(1)
	large.ExpiresAt, late.ExpiresAt = midnight(3), midnight(1).Add(time.Hour)
	b.acceptAll(noon, to(2), stays, large)
	b.acceptAll(noon, late)
	b.setLimit(acme, 1)
	b.rehold(acme, noon)
	b.requireStands(stays, email.Held, midnight(1))
	b.requireStands(large, email.Held, large.ExpiresAt)
	b.requireStands(late, email.Held, late.ExpiresAt)
	require.Equal(t, map[string]int{"2026-11-24": 2, "2026-11-25": 1}, b.reserved(acme))
	released, err := b.Release(t.Context(), midnight(1), 10)
	require.NoError(t, err)
	require.Len(t, released, 1)
}

func TestRehold_OtherDayAfterAnotherZone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	held := to(1)
	b.acceptAll(noon, to(1), held)
	b.set(acme, func(s *tenant.Settings) { s.Timezone, s.OverLimit = "Pacific/Auckland", tenant.Reject }) // where it is the 25th
	b.rehold(acme, noon)
	b.requireStands(held, email.Held, noon)
	require.Equal(t, map[string]int{"2026-11-24": 1, "2026-11-25": 1}, b.reserved(acme))
}

// Room today is of no use to what is asked for in three days.
func TestRehold_NotBeforeTheScheduledTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	first, held := to(1), to(1)
	first.ScheduledAt, held.ScheduledAt = noon.AddDate(0, 0, 3), noon.AddDate(0, 0, 3).Add(time.Hour)
	b.acceptAll(noon, first, held)
	b.requireStands(held, email.Held, midnight(4))
	b.setLimit(acme, 2)
	b.rehold(acme, noon)
	b.requireStands(held, email.Held, held.ScheduledAt)
	require.Equal(t, map[string]int{"2026-11-27": 2}, b.reserved(acme))
}

func TestRehold_NoTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.Rehold(t.Context(), "nobody", noon)
	requireFault(t, err, fault.NotFound, "tenant_not_found")
}

// What is just being released keeps its day: only what still waits is moved.
func TestRehold_BesideARelease(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	leaving, held := to(1), to(1)
	b.acceptAll(noon, to(1), leaving, held)
	b.setLimit(acme, 3)
	tx, err := connect(t, b.url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE emails SET release_at = NULL WHERE id = $1`, leaving.ID)
	require.NoError(t, err)
	answer := make(chan error, 1)
	go func() {
		_, err := b.Rehold(t.Context(), acme, noon)
		answer <- err
	}()
	b.awaitLock()
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-answer)
	require.Equal(t, map[string]int{"2026-11-24": 2, "2026-11-25": 1}, b.reserved(acme))
	b.requireStands(held, email.Held, noon)
}
