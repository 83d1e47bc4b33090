package apiserver_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// at is an email of the API's JSON with times.
func at(subject string, scheduled, expires time.Time) string {
	body := `{"to":"a@example.com","text":"x","subject":"` + subject + `"`
	for name, value := range map[string]time.Time{"scheduledAt": scheduled, "expiresAt": expires} {
		if !value.IsZero() {
			body += fmt.Sprintf(`,"%s":"%s"`, name, value.Format(time.RFC3339Nano))
		}
	}
	return body + "}"
}

// in is an instant that many hours from now.
func in(hours int) time.Time {
	return time.Now().Add(time.Duration(hours) * time.Hour).Truncate(time.Millisecond)
}

var none time.Time

// released gives the subjects of the emails whose time has come by an instant.
func (b *bundle) released(key string, now time.Time) []string {
	b.t.Helper()
	released, err := b.store.Release(b.t.Context(), now, 100)
	require.NoError(b.t, err)
	subjects := map[uuid.UUID]string{}
	for _, e := range must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?limit=200", key, nil).Items {
		subjects[emailUUID(b.t, e.ID)] = e.Subject
	}
	all := []string{}
	for _, p := range released {
		all = append(all, subjects[p.EmailID])
	}
	return all
}

func TestSchedule_WaitsForItsTime(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10)})
	tokyo := time.FixedZone("", 9*3600)
	when, expires := in(48).In(tokyo), in(49)
	made := b.post(key, at("later", when, expires))
	require.Equal(t, "scheduled", made.Status)
	require.Equal(t, "scheduled", made.Recipients[0].Status)
	require.True(t, when.Equal(*made.ReleaseAt))
	require.Zero(t, made.Quota.Used, "it counts on its own day")
	require.Empty(t, b.pending())

	shown := b.email(key, made.ID)
	require.Equal(t, "scheduled", shown.Status)
	for _, pair := range [][2]*time.Time{{shown.ScheduledAt, &when}, {shown.ReleaseAt, &when}, {shown.ExpiresAt, &expires}} {
		require.NotNil(t, pair[0])
		require.True(t, pair[0].Equal(*pair[1]))
	}
	require.Equal(t, "transactional", shown.Class)
	require.Empty(t, b.released(key, when.Add(-time.Millisecond)))
	require.Equal(t, []string{"later"}, b.released(key, when))
	shown = b.email(key, made.ID)
	require.Equal(t, "queued", shown.Status)
	require.Nil(t, shown.ReleaseAt)
	require.True(t, shown.ScheduledAt.Equal(when), "what was asked for stays")
	require.Empty(t, b.released(key, when), "once")
}

func TestSchedule_InThePastMeansAtOnce(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, past := range []time.Time{in(-1), in(-100_000), time.Unix(0, 0), {}} {
		made := must[apiserver.Accepted](b, http.StatusAccepted, http.MethodPost, emailsPath, key,
			`{"to":"a@example.com","subject":"Hi","text":"x","scheduledAt":"`+past.Format(time.RFC3339)+`"}`)
		require.Equal(t, "queued", made.Status)
		require.Nil(t, made.ReleaseAt)
		require.Nil(t, b.email(key, made.ID).ScheduledAt)
	}
	require.Len(t, b.pending(), 4)
}

func TestSchedule_Limits(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for name, tc := range map[string]struct {
		scheduled, expires time.Time
		want               []string
	}{
		"30 days":                {in(30*24 - 1), none, nil},
		"more than 30 days":      {in(30*24 + 1), none, []string{"body.scheduledAt out_of_range"}},
		"expired":                {none, in(-1), []string{"body.expiresAt out_of_range"}},
		"expires":                {none, in(1), nil},
		"expires after years":    {none, in(100_000), nil},
		"expires before it goes": {in(2), in(1), []string{"body.expiresAt out_of_range"}},
		"expires as it goes":     {in(2), in(2).Add(-time.Second), []string{"body.expiresAt out_of_range"}},
		"past, and expires":      {in(-2), in(-1), []string{"body.expiresAt out_of_range"}},
		"both":                   {in(31 * 24), in(1), []string{"body.scheduledAt out_of_range", "body.expiresAt out_of_range"}},
	} {
		a := b.ask(http.MethodPost, emailsPath, key, at("x", tc.scheduled, tc.expires))
		if tc.want == nil {
			require.Equal(t, http.StatusAccepted, a.Status, "%s: %s", name, a.Body)
			continue
		}
		require.Equal(t, tc.want, a.fields(422, "validation_failed"), name)
	}
	for member, want := range map[string]string{
		`"scheduledAt":"tomorrow"`: "body.scheduledAt invalid_value", `"scheduledAt":1764000000`: "body.scheduledAt invalid_value",
		`"expiresAt":"2026-01-01"`: "body.expiresAt invalid_value", `"class":"urgent"`: "body.class invalid_value",
	} {
		body := `{"to":"a@example.com","subject":"Hi","text":"x",` + member + `}`
		require.Equal(t, []string{want}, b.ask(http.MethodPost, emailsPath, key, body).fields(422, "validation_failed"), member)
	}
	for _, class := range []string{"bulk", "transactional"} {
		made := b.post(key, `{"to":"a@example.com","subject":"Hi","text":"x","class":"`+class+`"}`)
		require.Equal(t, class, b.email(key, made.ID).Class)
		pending := b.pending()
		require.Equal(t, class, string(pending[len(pending)-1].Class))
	}
}

// An email counts on the day on which it is to be sent, and that day's limit is exact too.
func TestSchedule_CountsOnItsDay(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1)})
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 3)
	noon := day.Add(12 * time.Hour)
	require.Equal(t, "scheduled", b.post(key, at("one", noon, none)).Status)
	a := b.ask(http.MethodPost, emailsPath, key, at("two", noon.Add(time.Hour), none))
	p := a.problem(http.StatusTooManyRequests, "daily_limit_reached")
	require.Equal(t, []*int{ptr(1), ptr(1), ptr(1)}, []*int{p.Limit, p.Used, p.Requested})
	require.True(t, p.ResetsAt.Equal(day.AddDate(0, 0, 1)))
	require.Equal(t, "scheduled", b.post(key, at("next day", noon.Add(24*time.Hour), none)).Status)
	require.Equal(t, "queued", b.post(key, hi).Status)
	b.ask(http.MethodPost, emailsPath, key, hi).problem(http.StatusTooManyRequests, "daily_limit_reached")
}

func TestHeld_UntilADayWithRoom(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(2), OverLimit: tenant.Queue, Timezone: "Asia/Tokyo"})
	first := b.post(key, at("today", none, none))
	require.Equal(t, "queued", first.Status)
	midnight := first.Quota.ResetsAt
	b.post(key, at("today", none, none))
	for i, days := range []int{0, 0, 1, 1, 2} {
		made := b.post(key, at(strconv.Itoa(i), none, none))
		require.Equal(t, "held", made.Status)
		require.Equal(t, "held", made.Recipients[0].Status)
		require.True(t, midnight.AddDate(0, 0, days).Equal(*made.ReleaseAt), "%d: %v", i, made.ReleaseAt)
		require.Equal(t, ptr(0), made.Quota.Remaining)
		shown := b.email(key, made.ID)
		require.Equal(t, "held", shown.Status)
		require.Equal(t, made.ReleaseAt, shown.ReleaseAt)
	}
	usage := b.usage(key)
	require.Equal(t, 5, usage.Held)
	require.Equal(t, 2, usage.Used)
	require.Equal(t, 2, usage.Backlog, "what is held is not on its way")
	require.Len(t, b.pending(), 2)
	require.Len(t, must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?status=held", key, nil).Items, 5)

	require.Empty(t, b.released(key, midnight.Add(-time.Millisecond)))
	require.Equal(t, []string{"0", "1"}, b.released(key, midnight))
	require.Equal(t, 3, b.usage(key).Held)
	require.Equal(t, []string{"2", "3", "4"}, b.released(key, midnight.Add(48*time.Hour)))
}

func TestHeld_WhatNoDayHasRoomFor(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	b.ask(http.MethodPost, emailsPath, key, `{"to":["a@example.com","b@example.com"],"subject":"Hi","text":"Hi"}`).
		problem(http.StatusTooManyRequests, "daily_limit_reached")
	made := b.post(key, hi)
	b.ask(http.MethodPost, emailsPath, key, at("too late", none, made.Quota.ResetsAt.Add(-time.Second))).
		problem(http.StatusTooManyRequests, "daily_limit_reached")
	require.Equal(t, "held", b.post(key, at("in time", none, made.Quota.ResetsAt.Add(time.Hour))).Status, "nothing was reserved for what was refused")
	require.Equal(t, 1, b.usage(key).Held)
}

// A changed limit finds what is held another day, in order.
func TestHeld_ChangedLimit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	b.post(key, hi)
	ids := map[string]string{}
	for _, subject := range []string{"0", "1", "2"} {
		ids[subject] = b.post(key, at(subject, none, none)).ID
	}
	require.Empty(t, b.released(key, time.Now()))
	b.patch(`{"settings":{"dailyLimit":3}}`)
	require.Equal(t, 3, b.usage(key).Used, "two more have found room today")
	require.Equal(t, []string{"0", "1"}, b.released(key, time.Now()))
	require.Equal(t, "queued", b.email(key, ids["0"]).Status)
	require.Equal(t, "held", b.email(key, ids["2"]).Status)

	b.patch(`{"settings":{"dailyLimit":0}}`)
	require.Nil(t, b.email(key, ids["2"]).ReleaseAt, "no day has room")
	require.Equal(t, 1, b.usage(key).Held)
	require.Empty(t, b.released(key, in(100_000)))

	b.patch(`{"settings":{"dailyLimit":null}}`)
	require.Equal(t, []string{"2"}, b.released(key, time.Now()))
	require.Zero(t, b.usage(key).Held)
	require.Equal(t, 4, b.usage(key).Used)
}
