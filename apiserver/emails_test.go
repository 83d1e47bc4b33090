package apiserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// setRecipient brings a recipient to where delivery would bring it.
func (b *bundle) setRecipient(addr, status, reason string, next *time.Time) {
	b.t.Helper()
	b.exec(`UPDATE recipients SET status = $2, reason = $3, detail = 'said the server', attempts = 2, next_attempt_at = $4 WHERE address = $1`,
		addr, status, reason, next)
}

func TestGetEmail_ShowsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, `{"to":["sent@example.com","later@example.com"],"subject":"Hi","text":"Hi"}`)
	b.setRecipient("sent@example.com", "sent", "", nil)
	next := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	b.setRecipient("later@example.com", "deferred", "greylisted", &next)

	shown := b.email(key, made.ID)
	require.Equal(t, "deferred", shown.Status, "under way as long as one recipient is")
	require.Equal(t, "sent", shown.Recipients[0].Status)
	later := shown.Recipients[1]
	require.Equal(t, "deferred", later.Status)
	require.Equal(t, "greylisted", later.Reason)
	require.Equal(t, "said the server", later.Detail)
	require.Equal(t, 2, later.Attempts)
	require.NotNil(t, later.NextAttemptAt)
	require.True(t, next.Equal(*later.NextAttemptAt))

	b.setRecipient("later@example.com", "bounced", "bad_address", nil)
	require.Equal(t, "bounced", b.email(key, made.ID).Status, "then the worst of them")
}

func TestGetEmail_NamesItsWorkflow(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`)
	require.Nil(t, b.email(key, made.ID).Workflow)
	dispatch := id.New()
	b.dispatch(acme, dispatch, "run/1", emailUUID(t, made.ID))
	workflow := b.email(key, made.ID).Workflow
	require.NotNil(t, workflow)
	require.Equal(t, flow.SendEmailsID(acme, dispatch), workflow.ID)
	require.Equal(t, "run/1", workflow.RunID)
	require.Equal(t, "http://temporal.example/namespaces/"+flow.Namespace+"/workflows/"+
		url.PathEscape(workflow.ID)+"/run%2F1/history", workflow.URL, "its parts are escaped")
}

func TestGetEmail_NotThere(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, emailID := range []string{id.Email.NewString(), id.Template.NewString(), "x", "%00", "MSG_01h455vb4pex5vsknk084sn02q"} {
		b.ask(http.MethodGet, emailsPath+"/"+emailID, key, nil).problem(http.StatusNotFound, "email_not_found")
	}
}

func subjects(emails []apiserver.Email) []string {
	all := make([]string, len(emails))
	for i, e := range emails {
		all[i] = e.Subject
	}
	return all
}

func TestListEmails_Filters(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	require.JSONEq(t, `{"items":[],"nextCursor":null}`, b.ask(http.MethodGet, emailsPath, key, nil).Body)
	b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"1","text":"x","tags":["order"]}`)
	b.post(key, `{"to":"bob@example.com","subject":"2","text":"x","tags":["order","größe"]}`)
	b.post(key, `{"to":"eve@example.com","bcc":["ada@example.com"],"subject":"3","text":"x"}`)
	b.post(other, `{"to":"ada@example.com","subject":"theirs","text":"x","tags":["order"]}`)
	b.setRecipient("bob@example.com", "bounced", "bad_address", nil)

	for query, want := range map[string][]string{
		"":                          {"3", "2", "1"},
		"tag=order":                 {"2", "1"},
		"tag=gr%C3%B6%C3%9Fe":       {"2"},
		"tag=orde":                  {},
		"recipient=ada@example.com": {"3", "1"},
		"recipient=ada@EXAMPLE.com": {"3", "1"},
		"recipient=da@example.com":  {},
		"status=bounced":            {"2", "1"},
		"status=queued":             {"3", "1"},
		"status=sent":               {},
		"tag=order&status=queued":   {"1"},
		"tag=&status=&recipient=":   {"3", "2", "1"},
		"recipient=bob@example.com&tag=order&status=bounced": {"2", "1"},
	} {
		list := must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?"+query, key, nil)
		require.Equal(t, want, subjects(list.Items), query)
		require.Nil(t, list.NextCursor)
	}
}

func TestListEmails_FiltersThatAreNone(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for query, want := range map[string]string{
		"status=lost": "query.status invalid_value",
		"limit=0":     "query.limit out_of_range",
		"limit=201":   "query.limit out_of_range",
		"limit=many":  "query.limit invalid_value",
		"subject=x":   "query.subject invalid_value",
		"after=x":     "query.after invalid_cursor",
		"after=%00":   "query.after invalid_cursor",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, emailsPath+"?"+query, key, nil).fields(422, "validation_failed"), query)
	}
	for _, query := range []string{"tag=%00", "recipient=%FF"} {
		b.ask(http.MethodGet, emailsPath+"?"+query, key, nil).problem(422, "validation_failed")
	}
}

func TestListEmails_Paging(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for i := range 5 {
		b.post(key, fmt.Sprintf(`{"to":"a@example.com","subject":"%d","text":"x","tags":["even%t"]}`, i, i%2 == 0))
	}
	emails, sizes := walk[apiserver.Email](b, emailsPath+"?limit=2", key)
	require.Equal(t, []int{2, 2, 1}, sizes)
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, subjects(emails), "newest first")
	emails, sizes = walk[apiserver.Email](b, emailsPath+"?limit=1&tag=eventrue", key)
	require.Equal(t, []int{1, 1, 1}, sizes)
	require.Equal(t, []string{"4", "2", "0"}, subjects(emails))

	// What comes in between two pages does not shift the second.
	first := must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?limit=2", key, nil)
	b.post(key, `{"to":"a@example.com","subject":"new","text":"x"}`)
	second := must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?limit=2&after="+*first.NextCursor, key, nil)
	require.Equal(t, []string{"2", "1"}, subjects(second.Items))
}
