package apiserver_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/hits"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

const public = "https://mail.example.com"

var trackKeys = track.NewKeys([]byte("secret of the installation"))

// tracker is an API that tracks, with a tracked email of acme-corp.
type tracker struct {
	*bundle
	key string
	recipient,
	emailID string
	signer track.Signer
	rcp    uuid.UUID
}

const browser = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"

func newTracker(t *testing.T, settings tenant.Tracking) *tracker {
	t.Helper()
	b, key := newAcme(t, tenant.Settings{Tracking: settings})
	b.track(public)
	sent := must[apiserver.Accepted](b, http.StatusAccepted, http.MethodPost, v1+"/emails", key, map[string]any{
		"to": "ada@example.com", "subject": "s", "html": "<p>x</p>", "tracking": map[string]any{"opens": true, "clicks": true},
	})
	tr := &tracker{bundle: b, key: key, emailID: sent.ID, recipient: sent.Recipients[0].ID, signer: b.signer(acme)}
	var err error
	tr.rcp, err = id.Recipient.Parse(tr.recipient)
	require.NoError(t, err)
	return tr
}

// track makes the bundle's API one with a public address; empty: with none.
func (b *bundle) track(base string) {
	b.t.Helper()
	recorder := hits.New(b.store, slog.New(slog.DiscardHandler))
	b.t.Cleanup(recorder.Close)
	templates, err := engine()
	require.NoError(b.t, err)
	b.Server = b.process(temporalAway(b.t), templates, func(c *apiserver.Config) {
		c.Tracking = apiserver.Tracking{Base: base, Keys: trackKeys, Hits: recorder}
	})
}

func (b *bundle) signer(tenantID string) track.Signer {
	b.t.Helper()
	known, err := b.store.Tenant(b.t.Context(), tenantID)
	require.NoError(b.t, err)
	return trackKeys.Of(tenantID, track.Generation(known.CreatedAt))
}

// visit asks for a link or picture as a browser does; headers are pairs.
func (b *bundle) visit(method, url string, headers ...string) answer {
	b.t.Helper()
	r := b.request(method, url, "", nil)
	r.Header.Set("User-Agent", browser)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(r)
}

func (tr *tracker) engagement() *apiserver.Engagement {
	tr.t.Helper()
	shown := must[apiserver.Email](tr.bundle, http.StatusOK, http.MethodGet, v1+"/emails/"+tr.emailID, tr.key, nil)
	return shown.Recipients[0].Engagement
}

// events are those of tracking; others hold them back for a moment.
func (tr *tracker) events(count int) (events []apiserver.Event) {
	tr.t.Helper()
	require.Eventually(tr.t, func() bool {
		path := v1 + "/events?type=email.opened,email.clicked"
		events = must[apiserver.EventList](tr.bundle, http.StatusOK, http.MethodGet, path, tr.key, nil).Items
		return len(events) >= count
	}, 20*time.Second, 5*time.Millisecond)
	return events
}

func requirePrivate(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", a.Header.Get("Referrer-Policy"))
	require.Equal(t, "noindex, nofollow", a.Header.Get("X-Robots-Tag"))
	require.Empty(t, a.Header.Values("Set-Cookie"))
}

func TestTracking_OpensAndClicks(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, tenant.Tracking{})
	require.Nil(t, tr.engagement())
	const url = "https://x.yz/p?a=1&b=%20#c"
	click, open := public+"/t/c/"+tr.signer.Click(tr.rcp, 4, url), public+"/t/o/"+tr.signer.Open(tr.rcp)+".gif"
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		a := tr.visit(method, click)
		require.Equal(t, http.StatusFound, a.Status)
		require.Equal(t, url, a.Header.Get("Location"))
		require.Empty(t, a.Body)
		requirePrivate(t, a)
		a = tr.visit(method, open)
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, "image/gif", a.Header.Get("Content-Type"))
		require.Equal(t, "43", a.Header.Get("Content-Length"))
		require.Equal(t, method == http.MethodGet, len(a.Body) == 43 && strings.HasPrefix(a.Body, "GIF89a\x01\x00\x01\x00"))
		requirePrivate(t, a)
	}
	tr.visit(http.MethodGet, open, "User-Agent", "Mozilla/5.0")
	tr.visit(http.MethodGet, open, "Sec-Purpose", "prefetch")
	got := *tr.engagement()
	require.NotNil(t, got.OpenedAt)
	require.NotNil(t, got.ClickedAt)
	got.OpenedAt, got.ClickedAt = nil, nil
	require.Equal(t, apiserver.Engagement{Opens: 1, Clicks: 1, AutomatedOpens: 2}, got, "HEAD counts nothing")

	events := tr.events(4)
	require.EqualValues(t, "email.clicked", events[0].Type)
	require.Equal(t, apiserver.EventData{
		EmailID: tr.emailID, RecipientID: tr.recipient, Recipient: "ada@example.com", Kind: "to", Subject: "s",
		Automated: ptr(false), Unique: ptr(true), URL: url, LinkIndex: ptr(4), UserAgent: browser,
	}, events[0].Data)
	require.EqualValues(t, "email.opened", events[1].Type)
	require.True(t, *events[1].Data.Unique)
	require.Equal(t, "prefetch", events[2].Data.Cause)
	require.True(t, *events[3].Data.Automated)
	require.NotContains(t, tr.log.String(), tr.signer.Open(tr.rcp))
	require.NotContains(t, tr.log.String(), "x.yz")
}

func TestTracking_WhatNobodySigned(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, tenant.Tracking{})
	open, click := tr.signer.Open(tr.rcp), tr.signer.Click(tr.rcp, 0, "https://x.yz/")
	later := trackKeys.Of(acme, 1)
	for _, path := range []string{
		"/t/o/" + open, "/t/o/" + click + ".gif", "/t/c/" + open, "/t/c/" + open + ".gif", "/t/c/" + click[:len(click)-1], "/t/c/x" + click[1:],
		"/t/c/" + click + "?url=https://evil.example", "/t/c/https://evil.example", "/t/c/" + later.Click(tr.rcp, 0, "https://evil.example"),
		"/t/c/" + trackKeys.Of("nobody", 1).Click(tr.rcp, 0, "https://evil.example"), "/t/c/", "/t/o/", "/t/", "/t/c/" + strings.Repeat("A", 9000),
	} {
		a := tr.visit(http.MethodGet, public+path)
		if strings.Contains(path, "?url=") { // a parameter means nothing
			require.Equal(t, "https://x.yz/", a.Header.Get("Location"))
			continue
		}
		require.Equal(t, http.StatusNotFound, a.Status, path)
		require.Empty(t, a.Header.Get("Location"))
	}
	require.Equal(t, http.StatusMethodNotAllowed, tr.visit(http.MethodPost, public+"/t/c/"+click).Status)
}

// The picture goes with its email, the links with their tenant.
func TestTracking_OfWhatIsGone(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, tenant.Tracking{})
	gone := id.New()
	click, open := public+"/t/c/"+tr.signer.Click(gone, 0, "https://x.yz/"), public+"/t/o/"+tr.signer.Open(gone)+".gif"
	require.Equal(t, http.StatusFound, tr.visit(http.MethodGet, click).Status)
	require.Equal(t, http.StatusNotFound, tr.visit(http.MethodGet, open).Status)
	mine, picture := public+"/t/c/"+tr.signer.Click(tr.rcp, 0, "https://x.yz/"), public+"/t/o/"+tr.signer.Open(tr.rcp)+".gif"
	require.Equal(t, http.StatusOK, tr.visit(http.MethodGet, picture).Status)

	require.Equal(t, http.StatusAccepted, tr.ask(http.MethodDelete, v1+"/tenants/"+acme, tr.operator, nil).Status)
	for _, url := range []string{mine, picture, click, open} {
		require.Equal(t, http.StatusNotFound, tr.visit(http.MethodGet, url).Status, "at once")
	}
	tr.exec(`DELETE FROM engagements`)
	for _, table := range []string{"attempts", "recipients", "email_contents", "emails", "events", "daily_usage", "api_keys", "tenants"} {
		tr.exec(`DELETE FROM ` + table + ` WHERE true`)
	}
	tr.tenant(acme, tenant.Settings{})
	require.Equal(t, http.StatusNotFound, tr.visit(http.MethodGet, mine).Status, "another tenant has the id now")
}

// A tenant's own domain has no other's links, which could use its good name.
func TestTracking_Domains(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, tenant.Tracking{Domain: "click.acme.com"})
	tr.tenant("other-corp", tenant.Settings{Tracking: tenant.Tracking{Domain: "go.other.example"}})
	other := tr.bundle.signer("other-corp")
	for _, c := range []struct {
		host   string
		signer track.Signer
		status int
	}{
		{"https://click.acme.com", tr.signer, http.StatusFound},
		{"https://CLICK.acme.com:443", tr.signer, http.StatusFound},
		{public, tr.signer, http.StatusFound},
		{"http://10.0.0.1:8080", tr.signer, http.StatusFound}, // one that was the public address before
		{"https://go.other.example", tr.signer, http.StatusNotFound},
		{"https://click.acme.com", other, http.StatusNotFound},
		{"https://go.other.example", other, http.StatusFound},
	} {
		a := tr.visit(http.MethodGet, c.host+"/t/c/"+c.signer.Click(tr.rcp, 0, "https://x.yz/"))
		require.Equal(t, c.status, a.Status, c.host)
	}
	require.Equal(t, 4, tr.engagement().Clicks, "what the other's signer signed is nobody's of it")
}

func (b *bundle) storedTracking(key string, body map[string]any) *track.Choice {
	b.t.Helper()
	body["to"], body["subject"], body["html"] = "ada@example.com", "s", "<p>x</p>"
	sent := must[apiserver.Accepted](b, http.StatusAccepted, http.MethodPost, v1+"/emails", key, body)
	emailID, err := id.Email.Parse(sent.ID)
	require.NoError(b.t, err)
	letter, err := b.store.Letter(b.t.Context(), acme, emailID)
	require.NoError(b.t, err)
	return letter.Content.Tracking
}

// What an email says stands before what its tenant has; both hold from when it was accepted.
func TestTracking_WhoDecides(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.track(public)
	type object = map[string]any
	require.Nil(t, b.storedTracking(key, object{}), "nothing, by default")
	require.Equal(t, &track.Choice{Opens: true, Base: public}, b.storedTracking(key, object{"tracking": object{"opens": true}}))

	patched := must[apiserver.Tenant](b, http.StatusOK, http.MethodPatch, v1+"/tenants/"+acme, b.operator,
		object{"settings": object{"tracking": object{"opens": true, "clicks": true, "domain": "Click.Acme.com"}}})
	require.Equal(t, tenant.Tracking{Opens: true, Clicks: true, Domain: "click.acme.com"}, patched.Settings.Tracking)
	own := "https://click.acme.com"
	require.Equal(t, &track.Choice{Opens: true, Clicks: true, Base: own}, b.storedTracking(key, object{}))
	require.Equal(t, &track.Choice{Opens: true, Base: own}, b.storedTracking(key, object{"tracking": object{"clicks": false}}))
	require.Nil(t, b.storedTracking(key, object{"tracking": object{"opens": false, "clicks": false}}))

	patched = must[apiserver.Tenant](b, http.StatusOK, http.MethodPatch, v1+"/tenants/"+acme, b.operator,
		object{"settings": object{"tracking": object{"opens": nil, "domain": nil}}})
	require.Equal(t, tenant.Tracking{Clicks: true}, patched.Settings.Tracking)
	require.Equal(t, &track.Choice{Clicks: true, Base: public}, b.storedTracking(key, object{}))
}

func TestTracking_NeedsAnAddress(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.track("")
	type object = map[string]any
	on := object{"settings": object{"tracking": object{"clicks": true}}}
	a := b.ask(http.MethodPatch, v1+"/tenants/"+acme, b.operator, on)
	require.Equal(t, []string{"body.settings.tracking tracking_unavailable"}, a.fields(http.StatusUnprocessableEntity, "validation_failed"))
	a = b.ask(http.MethodPost, v1+"/emails", key, object{"to": "a@b.cd", "subject": "s", "text": "x", "tracking": object{"opens": true}})
	require.Equal(t, []string{"body.tracking tracking_unavailable"}, a.fields(http.StatusUnprocessableEntity, "validation_failed"))
	require.Nil(t, b.storedTracking(key, object{"tracking": object{"opens": false}}))
	b.exec(`UPDATE tenants SET settings = jsonb_set(settings, '{tracking,opens}', 'true')`) // the address was taken away since
	require.Nil(t, b.storedTracking(key, object{}), "mail goes on, untracked")
}

func TestTracking_DomainsThatCanNotBe(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{Tracking: tenant.Tracking{Domain: "click.acme.com"}})
	b.track(public)
	b.tenant("other-corp", tenant.Settings{})
	patch := func(domain string) answer {
		return b.ask(http.MethodPatch, v1+"/tenants/other-corp", b.operator,
			map[string]any{"settings": map[string]any{"tracking": map[string]any{"domain": domain}}})
	}
	for domain, code := range map[string]string{
		"https://click.x.yz": "invalid_domain", "click.x.yz:8080": "invalid_domain", "10.0.0.1": "invalid_domain", "a b": "invalid_domain",
		"mail.example.com": "invalid_value",
	} {
		require.Equal(t, []string{"body.settings.tracking.domain " + code}, patch(domain).fields(http.StatusUnprocessableEntity, "validation_failed"), domain)
	}
	patch("CLICK.acme.com").problem(http.StatusConflict, "tracking_domain_taken")
}

// Looking at what was sent is neither an open nor a click.
func TestTracking_ContentHasNone(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, tenant.Tracking{})
	content := must[apiserver.Content](tr.bundle, http.StatusOK, http.MethodGet, v1+"/emails/"+tr.emailID+"/content", tr.key, nil)
	require.Equal(t, "<p>x</p>", content.HTML)
	require.Nil(t, tr.engagement())
}

func TestTracking_OfBulkSends(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.track(public)
	b.uploaded(key, `{"subject":"s","html":"<p>{{name}}</p>","tracking":{"clicks":true}}`, `{"to":"ada@example.com","variables":{"name":"Ada"}}`)
	require.Equal(t, []string{`{"base": "` + public + `", "clicks": true}`}, b.values(`SELECT (convert_from(shared, 'UTF8')::jsonb #> '{Content,tracking}')::text FROM bulk_sends`))
}
