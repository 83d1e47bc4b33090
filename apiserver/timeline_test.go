package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

func (b *bundle) timeline(key, emailID string) apiserver.Timeline {
	b.t.Helper()
	out := must[apiserver.Timeline](b, http.StatusOK, http.MethodGet, emailsPath+"/"+emailID+"/timeline", key, nil)
	require.Equal(b.t, emailID, out.EmailID)
	for i := 1; i < len(out.Entries); i++ {
		require.False(b.t, out.Entries[i].At.Before(out.Entries[i-1].At), "oldest first")
	}
	return out
}

// story is a word or two for each entry of a timeline.
func story(t apiserver.Timeline) []string {
	all := make([]string, len(t.Entries))
	for i, e := range t.Entries {
		all[i] = e.Type
		switch {
		case e.Attempt != nil:
			all[i] += " " + e.Attempt.Verdict
		case e.Reason != "":
			all[i] += " " + e.Reason
		}
	}
	return all
}

// attempt writes an attempt of the only recipient, as delivery does before the hand-over.
func (b *bundle) attempt(started time.Time) {
	b.t.Helper()
	b.exec(`UPDATE recipients SET status = 'sending', attempts = attempts + 1, next_attempt_at = NULL, updated_at = $1`, started)
	b.exec(`INSERT INTO attempts (tenant_id, recipient_id, number, started_at) SELECT tenant_id, id, attempts, $1 FROM recipients`, started)
}

func TestTimeline_FromAcceptedToSent(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, hi)
	shown := b.timeline(key, made.ID)
	require.Equal(t, []string{"accepted", "wait dispatch"}, story(shown))
	require.Nil(t, shown.Workflow)
	require.Nil(t, shown.NextAttemptAt)

	dispatch := id.New()
	b.dispatch(acme, dispatch, "run-1", emailUUID(t, made.ID))
	shown = b.timeline(key, made.ID)
	require.ElementsMatch(t, []string{"accepted", "dispatched", "wait turn"}, story(shown))
	require.Equal(t, flow.SendEmailsID(acme, dispatch), shown.Workflow.ID)
	require.Equal(t, "run-1", shown.Workflow.RunID)

	first, next := in(1), in(2)
	b.attempt(first)
	shown = b.timeline(key, made.ID)
	require.ElementsMatch(t, []string{"accepted", "dispatched", "wait turn", "attempt running"}, story(shown))
	require.Nil(t, shown.Entries[3].Attempt.DurationMS)
	b.exec(`UPDATE attempts SET finished_at = started_at + interval '1500 milliseconds', verdict = 'deferred', phase = 'rcpt', code = 451,
		enhanced = '4.7.1', reply = 'Greylisted', peer = '192.0.2.1:25', tls = true, dialogue = E'S: 220 mx\nC: EHLO a\nS: 250 ok'`)
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = $1`, next)

	shown = b.timeline(key, made.ID)
	require.Equal(t, "deferred", shown.Status)
	require.True(t, next.Equal(*shown.NextAttemptAt))
	require.Equal(t, "wait retry", story(shown)[4])
	tried, wait := shown.Entries[3], shown.Entries[4]
	require.True(t, first.Equal(tried.At))
	require.Equal(t, "a@example.com", tried.Recipient)
	require.Equal(t, &apiserver.Attempt{
		Number: 1, Verdict: "deferred", DurationMS: ptr(1500.0), Phase: "rcpt", Code: 451, Enhanced: "4.7.1", Reply: "Greylisted",
		Peer: "192.0.2.1:25", TLS: true, Dialogue: []string{"S: 220 mx", "C: EHLO a", "S: 250 ok"},
	}, tried.Attempt)
	require.True(t, first.Add(1500*time.Millisecond).Equal(wait.At))
	require.True(t, next.Equal(*wait.Until))

	b.attempt(next)
	b.exec(`UPDATE attempts SET finished_at = started_at + interval '1 second', verdict = 'accepted' WHERE number = 2`)
	b.exec(`UPDATE recipients SET status = 'sent'`)
	shown = b.timeline(key, made.ID)
	require.Equal(t, []string{"wait turn", "attempt deferred", "wait retry", "attempt accepted"},
		append(story(shown)[1:2:2], story(shown)[3:]...))
	require.True(t, next.Equal(*shown.Entries[4].Until), "it waited until it was tried")
	require.Nil(t, shown.NextAttemptAt)
	require.Equal(t, "sent", shown.Status)
}

func TestTimeline_WaitsAndEnds(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	when := in(100)
	scheduled, queued, held := b.post(key, at("x", when, none)), b.post(key, hi), b.post(key, hi)
	for _, tc := range []struct {
		made  apiserver.Accepted
		story string
		until *time.Time
	}{{scheduled, "wait scheduled", &when}, {queued, "wait dispatch", nil}, {held, "wait daily_limit", held.ReleaseAt}} {
		shown := b.timeline(key, tc.made.ID)
		require.Equal(t, []string{"accepted", tc.story}, story(shown))
		require.Equal(t, tc.until == nil, shown.Entries[1].Until == nil)
		if tc.until != nil {
			require.True(t, tc.until.Equal(*shown.Entries[1].Until))
		}
	}
	b.reschedule(key, held.ID, when.AddDate(0, 0, 1))
	require.Equal(t, []string{"accepted", "wait scheduled"}, story(b.timeline(key, held.ID)), "it is not the limit any more")
	b.exec(`UPDATE recipients SET reason = 'mail_server_down' WHERE email_id = $1`, emailUUID(t, queued.ID))
	require.Equal(t, []string{"accepted", "wait mail_server"}, story(b.timeline(key, queued.ID)))
	for status, want := range map[string]string{"cancelled": "cancelled", "expired": "expired", "unknown": "wait held"} {
		b.exec(`UPDATE recipients SET status = $1, updated_at = now() WHERE email_id = $2`, status, emailUUID(t, queued.ID))
		shown := b.timeline(key, queued.ID)
		require.Equal(t, []string{"accepted", want}, story(shown))
		require.Equal(t, "a@example.com", shown.Entries[1].Recipient)
		require.Equal(t, status, shown.Status)
	}
}

func TestTimeline_EachRecipientHasItsOwn(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, `{"to":["a@example.com","b@example.com"],"bcc":["c@example.com"],"subject":"Hi","text":"Hi"}`)
	soon, late := in(1), in(2)
	b.setRecipient("a@example.com", "deferred", "x", &late)
	b.setRecipient("b@example.com", "deferred", "x", &soon)
	b.setRecipient("c@example.com", "cancelled", "", nil)
	shown := b.timeline(key, made.ID)
	require.True(t, soon.Equal(*shown.NextAttemptAt), "the earliest")
	whose := map[string]string{}
	for _, e := range shown.Entries {
		whose[e.Recipient] = e.Type
	}
	require.Equal(t, map[string]string{"": "accepted", "a@example.com": "wait", "b@example.com": "wait", "c@example.com": "cancelled"}, whose)
}

func (b *bundle) content(key, emailID string) apiserver.Content {
	b.t.Helper()
	return must[apiserver.Content](b, http.StatusOK, http.MethodGet, emailsPath+"/"+emailID+"/content", key, nil)
}

func TestContent_IsThatOfThePinnedTemplate(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{FromName: "Acme"})
	b.template(key, `{"name":"welcome","subject":"Hi {{name}}","html":"<p>Dear {{name}}</p>"}`)
	made := b.post(key, `{"to":"a@example.com","template":"welcome","variables":{"name":"Ada & Bob"}}`)
	own := b.post(key, `{"to":"a@example.com","template":"welcome","subject":"For {{name}}","variables":{"name":"Eve"}}`)
	want := apiserver.Content{
		EmailID: made.ID, MessageID: made.ID + "@acme.com", From: `"Acme" <noreply@acme.com>`, Subject: "Hi Ada & Bob",
		HTML: "<p>Dear Ada &amp; Bob</p>", Text: "Dear Ada & Bob", Attachments: []apiserver.AttachmentSummary{},
	}
	require.Equal(t, want, b.content(key, made.ID))
	must[apiserver.Template](b, http.StatusOK, http.MethodPut, templatesPath+"/welcome", key, `{"subject":"New","text":"new"}`)
	require.Equal(t, want, b.content(key, made.ID), "a later version does not change it")
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, templatesPath+"/welcome", key, nil).Status)
	require.Equal(t, want, b.content(key, made.ID), "nor does the template's end")
	require.Equal(t, "For Eve", b.content(key, own.ID).Subject)
	b.change(key, made.ID, "cancel")
	require.Equal(t, want, b.content(key, made.ID))
}

func TestContent_OfItsOwn(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{ReplyTo: "help@acme.com"})
	literal := b.post(key, `{
		"to": "a@example.com", "bcc": ["secret@example.com"], "subject": "{{x}}", "html": "<b>{{y}}</b>", "text": "{{z}}", "headers": {"List-Id": "<a.acme.com>"},
		"attachments": [{"filename": "a.pdf", "content": "cGRm"}, {"filename": "l", "content": "", "contentType": "image/png", "contentId": "logo"}]
	}`)
	require.Equal(t, apiserver.Content{
		EmailID: literal.ID, MessageID: literal.ID + "@acme.com", From: "noreply@acme.com", ReplyTo: "help@acme.com",
		Subject: "{{x}}", HTML: "<b>{{y}}</b>", Text: "{{z}}", Headers: map[string]string{"List-Id": "<a.acme.com>"},
		Attachments: []apiserver.AttachmentSummary{
			{Filename: "a.pdf", ContentType: "application/pdf", Size: 3}, {Filename: "l", ContentType: "image/png", ContentID: "logo"},
		},
	}, b.content(key, literal.ID))
	filled := b.content(key, b.post(key, `{"to":"a@example.com","subject":"{{x}}","text":"{{y}}","variables":{"x":1,"y":"<>"}}`).ID)
	require.Equal(t, []string{"1", "", "<>"}, []string{filled.Subject, filled.HTML, filled.Text})
}
