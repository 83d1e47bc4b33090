package activities_test

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestDeliver_Signs(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	b.Signers = activities.NewSigners(b.Store, nil, dkim.Keys{"acme.com": {{Domain: "acme.com", Selector: "s1", Private: private}}})
	require.Equal(t, 2, b.deliver(b.dispatch(newEmail("ada@example.com"), newEmail("bob@example.com"))).Sent)
	for _, m := range b.mails() {
		require.Contains(t, m.header("DKIM-Signature"), "d=acme.com")
	}
}

func TestDeliver_SendsAndRecords(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("ada@example.com", "bob@example.com")
	e.Recipients[1].Kind = email.CC
	e.Recipients = append(e.Recipients, recipient(email.BCC, "eve@example.com"))
	e.Content.ReplyTo = "Support <support@acme.com>"
	e.Content.Headers = []email.Header{{Name: "X-Order", Value: "4711"}}
	e.Content.Attachments = []email.Attachment{{Filename: "a.txt", ContentType: "text/plain", Content: []byte("file")}}

	result := b.deliver(b.dispatch(e))

	require.Equal(t, 3, result.Sent)
	require.Zero(t, result.Open())
	mails := b.mails()
	require.Len(t, mails, 3)
	for addr, m := range mails {
		require.Equal(t, "noreply@acme.com", m.From)
		require.Equal(t, "Hello", m.Subject)
		require.Contains(t, m.Text, "literal text")
		require.Contains(t, m.header("To"), "ada@example.com")
		require.Contains(t, m.header("Cc"), "bob@example.com")
		require.Equal(t, "4711", m.header("X-Order"))
		require.Contains(t, m.header("Reply-To"), "support@acme.com")
		require.Equal(t, "<"+id.Email.Format(e.ID)+"@acme.com>", m.header("Message-ID"))
		require.Len(t, m.Files, 1)
		for _, h := range m.Headers {
			require.NotContains(t, h.Value, "eve@example.com", "%s of the mail to %s", h.Name, addr)
		}
	}
	for addr, r := range b.recipients(e) {
		require.Equal(t, email.Sent, r.Status)
		require.Equal(t, 1, r.Attempts)
		attempts := b.attempts(r.ID)
		require.Len(t, attempts, 1)
		require.NotNil(t, attempts[0].FinishedAt)
		require.Equal(t, "accepted", attempts[0].Verdict)
		require.Equal(t, 250, attempts[0].Code, addr)
		require.NotEmpty(t, attempts[0].Reply)
		require.Equal(t, b.inbox.SMTPAddr(), attempts[0].Peer)
	}
}

func TestDeliver_Outcomes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	e := newEmail("ok@example.com", "x+bounce@example.com", "x+defer@example.com")
	in := b.dispatch(e)
	before := time.Now()

	result := b.deliver(in)

	require.Equal(t, [3]int{1, 1, 1}, [3]int{result.Sent, result.Bounced, result.Deferred})
	require.Equal(t, "another attempt", result.Reason)
	recipients := b.recipients(e)
	bounced, deferred := recipients["x+bounce@example.com"], recipients["x+defer@example.com"]
	require.Equal(t, email.Bounced, bounced.Status)
	require.Equal(t, "bad_address", bounced.Reason)
	require.Contains(t, bounced.Detail, "No such user")
	require.Equal(t, 550, b.attempts(bounced.ID)[0].Code)
	require.Equal(t, email.Deferred, deferred.Status)
	require.Equal(t, "greylisted", deferred.Reason)
	require.Equal(t, 451, b.attempts(deferred.ID)[0].Code)
	require.NotNil(t, deferred.NextAttemptAt)
	require.WithinRange(t, *deferred.NextAttemptAt, before.Add(54*time.Second), time.Now().Add(66*time.Second))
	require.WithinDuration(t, *deferred.NextAttemptAt, result.NextAt, time.Microsecond)

	require.Equal(t, result, b.deliver(in), "nobody's turn has come")
	require.Len(t, b.mails(), 1)
}

func TestDeliver_Contents(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	stored, err := b.Store.CreateTemplate(t.Context(), acme, store.Template{
		Name: "welcome", Source: template.Source{Subject: "Hi {{name}}", HTML: "<p>Dear {{name}}</p>"},
	})
	require.NoError(t, err)
	variables := json.RawMessage(`{"name":"Ada & Co"}`)

	ofTemplate := newEmail("template@example.com")
	ofTemplate.Subject, ofTemplate.TemplateID, ofTemplate.TemplateVersion = "", &stored.ID, &stored.Version
	ofTemplate.Content = email.Content{Variables: variables}
	ownSubject := newEmail("subject@example.com")
	ownSubject.Subject, ownSubject.TemplateID, ownSubject.TemplateVersion = "For {{name}}", &stored.ID, &stored.Version
	ownSubject.Content = email.Content{Variables: variables}
	inline := newEmail("inline@example.com")
	inline.Subject, inline.Content = "Yo {{name}}", email.Content{HTML: "<b>{{name}}</b>", Text: "own {{name}}", Variables: variables}
	literal := newEmail("literal@example.com")
	literal.Subject, literal.Content = "{{name}}", email.Content{HTML: "<p>{{name}}</p>"}
	b.deliver(b.dispatch(ofTemplate, ownSubject, inline, literal))

	mails := b.mails()
	for addr, want := range map[string]struct{ subject, html, text string }{
		"template@example.com": {"Hi Ada & Co", "<p>Dear Ada &amp; Co</p>", "Dear Ada & Co"},
		"subject@example.com":  {"For Ada & Co", "<p>Dear Ada &amp; Co</p>", "Dear Ada & Co"},
		"inline@example.com":   {"Yo Ada & Co", "<b>Ada &amp; Co</b>", "own Ada & Co"},
		"literal@example.com":  {"{{name}}", "<p>{{name}}</p>", "{{name}}"},
	} {
		m := mails[addr]
		require.Equal(t, want.subject, m.Subject, addr)
		require.Contains(t, m.HTML, want.html, addr)
		require.Contains(t, m.Text, want.text, addr)
	}
}

func TestDeliver_KeepsTheVersionThatWasCurrent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	first, err := b.Store.CreateTemplate(t.Context(), acme, store.Template{Name: "v", Source: template.Source{Subject: "s", Text: "first"}})
	require.NoError(t, err)
	e := newEmail("ada@example.com")
	e.TemplateID, e.TemplateVersion, e.Content = &first.ID, &first.Version, email.Content{}
	in := b.dispatch(e)
	_, err = b.Store.UpdateTemplate(t.Context(), acme, store.SaveTemplate{Template: store.Template{Name: "v", Source: template.Source{Subject: "s", Text: "second"}}})
	require.NoError(t, err)
	require.NoError(t, b.Store.DeleteTemplate(t.Context(), acme, "v"))

	require.Equal(t, 1, b.deliver(in).Sent)
	require.Contains(t, b.mails()["ada@example.com"].Text, "first")
}

func TestDeliver_MoreThanOneChunk(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	var emails []email.Email
	for range 3 {
		e := newEmail()
		for range 50 {
			e.Recipients = append(e.Recipients, recipient(email.To, id.New().String()+"@example.com"))
		}
		emails = append(emails, e)
	}
	require.Equal(t, 150, b.deliver(b.dispatch(emails...)).Sent)
	require.Len(t, b.mails(), 150)
}
