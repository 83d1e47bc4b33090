package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

func TestSend_TemplateToTwoWithAttachment(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{FromEmail: ptr("noreply@acme.com"), FromName: ptr("Acme Corporation"), ReplyTo: ptr("help@acme.com")})
	template, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{
		Name:    "order",
		Subject: ptr("Order {{number}} for {{name}}"),
		Html:    ptr(`<h1>Hello {{name}}</h1><ul>{{#each items}}<li>{{this.title}}: {{this.price}}</li>{{/each}}</ul>{{#if note}}<p>{{note}}</p>{{else}}<p>No note.</p>{{/if}}<img src="cid:logo">`),
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, template.StatusCode(), string(template.Body))
	require.Equal(t, []string{"name", "number"}, template.JSON201.RequiredVariables)

	ada, bob := address(t, "ada"), address(t, "bob")
	accepted := send(t, c, mailtura.SendEmail{
		To: to("Ada Lovelace <"+ada+">", bob), Template: ptr("order"),
		Variables: &map[string]any{
			"name": "Ada & Bob", "number": 42,
			"items": []map[string]any{{"title": "Engine", "price": "1 €"}, {"title": "Card <b>", "price": "2 €"}},
		},
		Attachments: &[]mailtura.Attachment{
			{Filename: "résumé.pdf", Content: []byte("%PDF-1.4 not really"), ContentType: ptr("application/pdf")},
			{Filename: "logo.png", Content: []byte("\x89PNG"), ContentId: ptr("logo")},
		},
		Headers: &map[string]string{"List-Id": "orders.acme.com"}, Tags: &[]string{"order"}, Metadata: &map[string]any{"order": 42},
	})
	require.Len(t, accepted.Recipients, 2)
	e := awaitStatus(t, c, accepted.Id, "sent", 60*time.Second)
	require.Equal(t, "send/"+tenant, e.Workflow.Id[:strings.LastIndexByte(e.Workflow.Id, '/')])
	require.NotEmpty(t, e.Workflow.RunId)
	require.Contains(t, *e.Workflow.Url, "/namespaces/mailtura/workflows/")
	require.Equal(t, []string{"order"}, e.Tags)
	require.EqualValues(t, 42, e.Metadata["order"])
	require.EqualValues(t, 1, *e.TemplateVersion)

	for _, recipient := range []string{ada, bob} {
		m := shared.open(t, shared.await(t, recipient, 1, 60*time.Second)[0].ID)
		require.Equal(t, []string{recipient}, m.To)
		require.Equal(t, "noreply@acme.com", m.From)
		require.Equal(t, "Order 42 for Ada & Bob", m.Subject)
		require.Equal(t, accepted.Id+"@acme.com", m.MessageID)
		require.Equal(t, `"Acme Corporation" <noreply@acme.com>`, m.header("From"))
		require.Equal(t, "help@acme.com", m.header("Reply-To"))
		require.Equal(t, "orders.acme.com", m.header("List-Id"))
		require.Contains(t, m.header("To"), ada)
		require.Contains(t, m.header("To"), bob)
		require.Contains(t, m.HTML, "<h1>Hello Ada &amp; Bob</h1>")
		require.Contains(t, m.HTML, "<li>Card &lt;b&gt;: 2 €</li>")
		require.Contains(t, m.HTML, "No note.")
		require.Contains(t, m.Text, "Hello Ada & Bob")
		require.Len(t, m.Files, 2)
		require.Equal(t, "résumé.pdf", m.Files[0].Filename)
		require.Equal(t, "application/pdf", m.Files[0].ContentType)
		require.Equal(t, "logo", m.Files[1].ContentID)
	}
}

func TestSend_CopiesAndBlindCopies(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	first, copied, blind := address(t, "to"), address(t, "cc"), address(t, "bcc")
	accepted := send(t, c, mailtura.SendEmail{To: to(first), Cc: &[]string{copied}, Bcc: &[]string{blind}, Subject: ptr("Hi"), Text: ptr("Literal {{braces}}")})
	awaitStatus(t, c, accepted.Id, "sent", 60*time.Second)
	for _, recipient := range []string{first, copied, blind} {
		m := shared.open(t, shared.await(t, recipient, 1, 60*time.Second)[0].ID)
		require.Equal(t, first, m.header("To"))
		require.Equal(t, copied, m.header("Cc"))
		require.Empty(t, m.header("Bcc"))
		require.Contains(t, m.Text, "Literal {{braces}}", "without variables nothing is rendered")
	}
}

func TestSend_PinsTheTemplateVersion(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	_, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{Name: "note", Subject: ptr("One"), Text: ptr("first")})
	require.NoError(t, err)
	recipient := address(t, "ada")
	first := send(t, c, mailtura.SendEmail{To: to(recipient), Template: ptr("note")})
	updated, err := c.UpdateTemplateWithResponse(t.Context(), "note", nil, mailtura.TemplateContent{Subject: ptr("Two"), Text: ptr("second")})
	require.NoError(t, err)
	require.EqualValues(t, 2, updated.JSON200.Version)
	second := send(t, c, mailtura.SendEmail{To: to(recipient), Template: ptr("note")})
	deleted, err := c.DeleteTemplateWithResponse(t.Context(), "note", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, deleted.StatusCode())
	for id, subject := range map[string]string{first.Id: "One", second.Id: "Two"} {
		awaitStatus(t, c, id, "sent", 60*time.Second)
		found := false
		for _, m := range shared.received(t, recipient) {
			found = found || (m.Subject == subject && strings.HasPrefix(m.MessageID, id))
		}
		require.True(t, found, subject)
	}
}

func TestSend_BouncesAtOnce(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	good, bad := address(t, "ada"), address(t, "bob+bounce")
	accepted := send(t, c, mailtura.SendEmail{To: to(good, bad), Subject: ptr("Hi"), Text: ptr("Hi")})
	e := awaitStatus(t, c, accepted.Id, "bounced", 60*time.Second)
	require.Equal(t, mailtura.RecipientStatus("sent"), e.Recipients[0].Status)
	require.Equal(t, mailtura.RecipientStatus("bounced"), e.Recipients[1].Status)
	require.Equal(t, "bad_address", *e.Recipients[1].Reason)
	require.Contains(t, *e.Recipients[1].Detail, "No such user")
	require.EqualValues(t, 1, e.Recipients[1].Attempts)
}

// A temporary refusal is tried again after a minute, with the same Message-ID.
func TestSend_RetriesWhatIsDeferred(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	recipient := address(t, "ada+defer-once")
	began := time.Now()
	accepted := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("Hi"), Text: ptr("Hi")})
	e := awaitStatus(t, c, accepted.Id, "deferred", 60*time.Second)
	require.WithinRange(t, *e.Recipients[0].NextAttemptAt, began.Add(50*time.Second), time.Now().Add(70*time.Second))
	require.Equal(t, "greylisted", *e.Recipients[0].Reason)
	e = awaitStatus(t, c, accepted.Id, "sent", 90*time.Second)
	require.EqualValues(t, 2, e.Recipients[0].Attempts)
	mails := shared.received(t, recipient)
	require.Len(t, mails, 1)
	require.Equal(t, accepted.Id+"@acme.com", mails[0].MessageID)
}

func TestSend_ListAndFilter(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	recipient := address(t, "ada")
	var ids []string
	for _, tag := range []string{"a", "b", "a"} {
		ids = append(ids, send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr(tag), Text: ptr("Hi"), Tags: &[]string{tag}}).Id)
	}
	list := func(p mailtura.ListEmailsParams) (got []string, next *string) {
		answer, err := c.ListEmailsWithResponse(t.Context(), &p)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
		for _, e := range answer.JSON200.Items {
			got = append(got, e.Id)
		}
		return got, answer.JSON200.NextCursor
	}
	all, next := list(mailtura.ListEmailsParams{})
	require.Equal(t, []string{ids[2], ids[1], ids[0]}, all)
	require.Nil(t, next)
	page, next := list(mailtura.ListEmailsParams{Limit: ptr(int64(2))})
	require.Equal(t, []string{ids[2], ids[1]}, page)
	rest, last := list(mailtura.ListEmailsParams{Limit: ptr(int64(2)), After: next})
	require.Equal(t, []string{ids[0]}, rest)
	require.Nil(t, last)
	tagged, _ := list(mailtura.ListEmailsParams{Tag: ptr("b")})
	require.Equal(t, []string{ids[1]}, tagged)
	none, _ := list(mailtura.ListEmailsParams{Recipient: ptr("nobody@example.com")})
	require.Empty(t, none)
	require.Regexp(t, `^msg_[0-9a-z]{26}$`, ids[0])
}
