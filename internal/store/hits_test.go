package store_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

// browser is the user agent of a person.
const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"

// opened is an open of an email's first recipient by a person.
func opened(e email.Email, at time.Time) track.Hit {
	return track.Hit{
		Token: track.Token{TenantID: e.TenantID, Recipient: e.Recipients[0].ID, Kind: track.Open},
		At:    at.Truncate(time.Microsecond), UserAgent: browser,
	}
}

func clicked(e email.Email, at time.Time, link int) track.Hit {
	h := opened(e, at)
	h.Kind, h.Link, h.URL = track.Click, link, "https://acme.com/?a=1&b=ü"
	return h
}

// hit records hits of recipients that are there.
func (b *bundle) hit(hits ...track.Hit) {
	b.t.Helper()
	known, err := b.RecordHits(b.t.Context(), hits)
	require.NoError(b.t, err)
	require.Len(b.t, known, len(hits))
	require.NotContains(b.t, known, false)
}

// delivered is an email that has just been sent.
func (b *bundle) delivered(tenantID string) email.Email {
	b.t.Helper()
	e := newEmail(tenantID, "ada@example.com")
	b.start(b.dispatch(e))
	require.NoError(b.t, b.FinishAttempts(b.t.Context(), tenantID, []store.Outcome{sent(e.Recipients[0].ID, 1)}))
	return e
}

func TestRecordHits(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := b.delivered(acme)
	at := time.Now().Add(time.Minute).Truncate(time.Microsecond)
	machine := opened(e, at)
	machine.UserAgent = "Mozilla/5.0"
	b.hit(machine, opened(e, at), opened(e, at.Add(time.Millisecond)))
	b.hit(opened(e, at.Add(time.Hour)), clicked(e, at.Add(time.Hour), 2), clicked(e, at.Add(time.Hour+time.Millisecond), 3))
	b.hit(clicked(e, at.Add(2*time.Hour), 3))

	first := at.Add(time.Hour)
	got := b.recipient(e).Engagement
	require.True(t, got.OpenedAt.Equal(at))
	require.True(t, got.ClickedAt.Equal(first))
	got.OpenedAt, got.ClickedAt = nil, nil
	require.Equal(t, store.Engagement{Opens: 3, AutomatedOpens: 1, Clicks: 2, AutomatedClicks: 1}, got)
	require.Equal(t, email.Sent, b.recipient(e).Status)

	events := b.requireEvents(event.EmailAccepted, event.EmailSent, event.EmailOpened, event.EmailOpened, event.EmailOpened,
		event.EmailOpened, event.EmailClicked, event.EmailClicked, event.EmailClicked)[2:]
	two, three, url := 2, 3, "https://acme.com/?a=1&b=ü"
	for i, want := range []store.Hit{
		{Automated: true, Cause: track.Prefetch, UserAgent: "Mozilla/5.0"},
		{Unique: true, UserAgent: browser},
		{UserAgent: browser},
		{UserAgent: browser},
		{Unique: true, UserAgent: browser, URL: url, Link: &two},
		{Automated: true, Cause: track.Burst, UserAgent: browser, URL: url, Link: &three},
		{UserAgent: browser, URL: url, Link: &three},
	} {
		require.Equal(t, &want, events[i].Email.Hit, "%d", i)
		require.Equal(t, e.ID, events[i].Email.EmailID)
		require.Equal(t, "ada@example.com", events[i].Email.Recipient)
	}
	require.True(t, events[1].At.Equal(at))
	require.Empty(t, b.events(other))
}

func TestRecordHits_TooSoonAfterItWasSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := b.delivered(acme)
	sentAt := b.recipient(e).UpdatedAt
	b.hit(opened(e, sentAt.Add(time.Second)))
	b.hit(opened(e, sentAt.Add(2*time.Second)))
	events := b.awaitEvents(2, string(event.EmailOpened))
	require.Equal(t, track.Timing, events[0].Email.Hit.Cause)
	require.Equal(t, store.Hit{Unique: true, UserAgent: browser}, *events[1].Email.Hit)
}

// A hit counts for a recipient of the tenant that signed for it, or not at all.
func TestRecordHits_OfNobody(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := b.delivered(acme)
	foreign, gone := opened(e, time.Now()), opened(e, time.Now())
	foreign.TenantID, gone.Recipient = other, id.New()
	known, err := b.RecordHits(t.Context(), []track.Hit{foreign, gone, opened(e, time.Now().Add(time.Minute))})
	require.NoError(t, err)
	require.Equal(t, []bool{false, false, true}, known)
	known, err = b.RecordHits(t.Context(), []track.Hit{foreign})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, known)
	require.Equal(t, 1, b.recipient(e).Opens)
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM events WHERE type = 'email.opened'`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM engagements`))
}

// However many processes record at once, each hit counts, and one of them is the first.
func TestRecordHits_AtTheSameTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	one, two := b.delivered(acme), b.delivered(acme)
	at := time.Now().Add(time.Minute)
	require.NoError(t, inParallel(6, func(i int) error {
		batch := []track.Hit{opened(one, at), opened(two, at), clicked(one, at.Add(time.Duration(i)*time.Hour), 0)}
		if i%2 == 0 {
			batch[0], batch[1] = batch[1], batch[0]
		}
		_, err := b.RecordHits(t.Context(), batch)
		return err
	}))
	require.Equal(t, 6, b.recipient(one).Opens)
	require.Equal(t, 6, b.recipient(one).Clicks)
	require.Equal(t, 6, b.recipient(two).Opens)
	require.EqualValues(t, 3, ask[int64](b, `SELECT count(*) FROM events WHERE data @> '{"unique": true}'`), "two opens and a click")
}

func TestRecordHits_InLists(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := b.delivered(acme)
	b.hit(opened(e, time.Now().Add(time.Minute)))
	items, _, err := b.ListEmails(t.Context(), acme, store.EmailFilter{}, "", 10)
	require.NoError(t, err)
	require.Equal(t, 1, items[0].Recipients[0].Opens)
	story, err := b.Story(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.Equal(t, 1, story.Recipients[0].Opens)
	_, err = b.Email(t.Context(), other, e.ID)
	requireFault(t, err, fault.NotFound, "email_not_found")
}

func TestTrackingHost(t *testing.T) {
	t.Parallel()
	b := newBundle(t, other)
	b.activate(acme, tenant.Settings{Tracking: tenant.Tracking{Domain: "click.acme.com"}})
	for host, want := range map[string]string{"click.acme.com": acme, "other.example.com": "", "": ""} {
		got, err := b.TrackingHost(t.Context(), host)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := b.UpdateTenant(t.Context(), other, func(o *tenant.Tenant) error {
		o.Settings.Tracking.Domain = "click.acme.com"
		return nil
	})
	requireFault(t, err, fault.Conflict, "tracking_domain_taken")
}

// Whichever process comes first, all have the same secret.
func TestSecret(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	secrets := make([][]byte, 5)
	require.NoError(t, inParallel(len(secrets), func(i int) (err error) {
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh)
		secrets[i], err = b.Secret(t.Context(), "tracking", fresh)
		return err
	}))
	for _, secret := range secrets {
		require.Len(t, secret, 32)
		require.Equal(t, secrets[0], secret)
	}
	another, err := b.Secret(t.Context(), "another", make([]byte, 32))
	require.NoError(t, err)
	require.NotEqual(t, secrets[0], another)
}
