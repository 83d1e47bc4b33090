package apiserver_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

const emailsPath = v1 + "/emails"

// post sends an email that is accepted.
func (b *bundle) post(key, body string) apiserver.Accepted {
	b.t.Helper()
	return must[apiserver.Accepted](b, http.StatusAccepted, http.MethodPost, emailsPath, key, body)
}

// email gives an email as the API shows it.
func (b *bundle) email(key, emailID string) apiserver.Email {
	b.t.Helper()
	return must[apiserver.Email](b, http.StatusOK, http.MethodGet, emailsPath+"/"+emailID, key, nil)
}

// letter gives what is stored to compose an email from.
func (b *bundle) letter(emailID string) *store.Letter {
	b.t.Helper()
	parsed := emailUUID(b.t, emailID)
	letters, err := b.store.LoadLetters(b.t.Context(), acme, []uuid.UUID{parsed})
	require.NoError(b.t, err)
	require.Contains(b.t, letters, parsed)
	return letters[parsed]
}

func emailUUID(t *testing.T, emailID string) uuid.UUID {
	t.Helper()
	parsed, err := id.Email.Parse(emailID)
	require.NoError(t, err)
	return parsed
}

func TestSendEmail_EverythingThatItHasIsKept(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.post(key, `{
		"to": ["Ada Lovelace <ada@example.com>"], "cc": ["bob@Example.com"], "bcc": ["eve@example.com"],
		"from": "Shop <shop@ACME.com>", "replyTo": "Help <help@elsewhere.example>", "subject": "Größe", "html": "<p>{{raw}}</p>", "text": "raw",
		"headers": {"X-B": "2", "List-Id": "<a.acme.com>"}, "tags": ["order", "größe"], "metadata": {"n": 4711, "deep": {"a": [null]}},
		"attachments": [{"filename": "a.pdf", "content": "cGRm"}, {"filename": "logo", "content": "", "contentType": "image/png", "contentId": "logo"}]
	}`)
	require.True(t, strings.HasPrefix(made.ID, "msg_"))
	require.Equal(t, "queued", made.Status)
	require.Len(t, made.Recipients, 3)
	require.Equal(t, "bob@example.com", made.Recipients[1].Email)
	require.Equal(t, apiserver.Quota{Used: 3, ResetsAt: made.Quota.ResetsAt}, made.Quota)

	shown := b.email(key, made.ID)
	require.Equal(t, "queued", shown.Status)
	require.Equal(t, `"Shop" <shop@acme.com>`, shown.From)
	require.Equal(t, "Größe", shown.Subject)
	require.Equal(t, []string{"order", "größe"}, shown.Tags)
	require.Equal(t, map[string]any{"n": 4711.0, "deep": map[string]any{"a": []any{nil}}}, shown.Metadata)
	require.Nil(t, shown.Workflow, "nothing sends it yet")
	for i, want := range []struct{ kind, addr, name string }{
		{"to", "ada@example.com", "Ada Lovelace"}, {"cc", "bob@example.com", ""}, {"bcc", "eve@example.com", ""},
	} {
		r := shown.Recipients[i]
		require.Equal(t, made.Recipients[i].ID, r.ID)
		require.Equal(t, want, struct{ kind, addr, name string }{r.Kind, r.Email, r.Name})
		require.Equal(t, "queued", r.Status)
		require.Zero(t, r.Attempts)
		require.Nil(t, r.NextAttemptAt)
	}

	l := b.letter(made.ID)
	require.Equal(t, email.Content{
		HTML: "<p>{{raw}}</p>", Text: "raw", ReplyTo: "Help <help@elsewhere.example>",
		Headers: []email.Header{{Name: "List-Id", Value: "<a.acme.com>"}, {Name: "X-B", Value: "2"}},
		Attachments: []email.Attachment{
			{Filename: "a.pdf", ContentType: "application/pdf", Content: []byte("pdf")},
			{Filename: "logo", ContentType: "image/png", ContentID: "logo", Content: []byte{}},
		},
	}, l.Content)
}

func TestSendEmail_IsHandedOn(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{Weight: ptr(7)})
	made := b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`)
	pending := b.pending()
	require.Len(t, pending, 1)
	require.Equal(t, emailUUID(t, made.ID), pending[0].EmailID)
	require.Equal(t, acme, pending[0].TenantID)
	require.InDelta(t, 7, pending[0].Weight, 0)

	b.ask(http.MethodPost, emailsPath, key, `{"to":"nonsense","subject":"Hi","text":"Hi"}`).problem(422, "validation_failed")
	require.Len(t, b.pending(), 1, "what is refused is not")
}

func TestSendEmail_ByAnOperator(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	a := b.ask(http.MethodPost, emailsPath, b.operator, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`, "X-Tenant-ID", acme)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	require.Equal(t, "Hi", b.email(key, read[apiserver.Accepted](a).ID).Subject)
}

func TestSendEmail_Sender(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{FromName: "Acme", ReplyTo: "default@acme.com"})
	for members, want := range map[string]struct{ from, replyTo string }{
		``:                                  {`"Acme" <noreply@acme.com>`, "default@acme.com"},
		`"from":"x@acme.com"`:               {`"Acme" <x@acme.com>`, "default@acme.com"},
		`"from":"Own <x@acme.com>"`:         {`"Own" <x@acme.com>`, "default@acme.com"},
		`"fromName":"Field"`:                {`"Field" <noreply@acme.com>`, "default@acme.com"},
		`"from":"O <x@a.b>","fromName":"F"`: {"", ""},
		`"from":"O <x@acme.com>","fromName":"F","replyTo":"r@example.com"`: {`"F" <x@acme.com>`, "r@example.com"},
	} {
		body := `{"to":"a@example.com","subject":"Hi","text":"Hi"`
		if members != "" {
			body += "," + members
		}
		if want.from == "" {
			require.Equal(t, []string{"body.from sender_domain_not_allowed"},
				b.ask(http.MethodPost, emailsPath, key, body+"}").fields(422, "validation_failed"))
			continue
		}
		made := b.post(key, body+"}")
		require.Equal(t, want.from, b.email(key, made.ID).From, members)
		require.Equal(t, want.replyTo, b.letter(made.ID).Content.ReplyTo, members)
	}
}

// The version of a template that is current when an email is accepted is the one it gets.
func TestSendEmail_PinsItsTemplate(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	first := b.template(key, `{"name":"welcome","subject":"Hi {{name}}","text":"one"}`)
	const body = `{"to":"a@example.com","template":"welcome","variables":{"name":"Ada"}}`
	before := b.post(key, body)
	must[apiserver.Template](b, http.StatusOK, http.MethodPut, templatesPath+"/welcome", key, `{"subject":"Hi","text":"two"}`)
	after := b.post(key, body)
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, templatesPath+"/welcome", key, nil).Status)

	for version, made := range map[int32]apiserver.Accepted{1: before, 2: after} {
		shown := b.email(key, made.ID)
		require.Equal(t, first.ID, shown.TemplateID)
		require.Equal(t, &version, shown.TemplateVersion)
		require.Empty(t, shown.Subject, "the template has it")
	}
	require.Equal(t, "one", b.letter(before.ID).Template.Text)
	require.Equal(t, "two", b.letter(after.ID).Template.Text)
	require.JSONEq(t, `{"name":"Ada"}`, string(b.letter(before.ID).Content.Variables))
	require.Equal(t, []string{"body.template template_not_found"}, b.ask(http.MethodPost, emailsPath, key, body).fields(422, "validation_failed"))
}

var rateLimitForm = regexp.MustCompile(`^"day";r=(\d+);t=(\d+)$`)

func TestSendEmail_SaysWhatTheDayHasLeft(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(3)})
	a := b.ask(http.MethodPost, emailsPath, key, `{"to":["a@example.com","b@example.com"],"subject":"Hi","text":"Hi"}`)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	quota := read[apiserver.Accepted](a).Quota
	require.Equal(t, apiserver.Quota{Limit: ptr(3), Used: 2, Remaining: ptr(1), ResetsAt: quota.ResetsAt}, quota)
	require.Equal(t, `"day";q=3;w=86400`, a.Header.Get("RateLimit-Policy"))
	found := rateLimitForm.FindStringSubmatch(a.Header.Get("RateLimit"))
	require.Len(t, found, 3, a.Header.Get("RateLimit"))
	require.Equal(t, "1", found[1])
	seconds, err := strconv.Atoi(found[2])
	require.NoError(t, err)
	require.WithinDuration(t, quota.ResetsAt, time.Now().Add(time.Duration(seconds)*time.Second), time.Minute)
}

func TestSendEmail_NoRateLimitWithoutLimit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	a := b.ask(http.MethodPost, emailsPath, key, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	require.NotContains(t, a.Header, "Ratelimit")
	require.NotContains(t, a.Header, "Ratelimit-Policy")
	require.Contains(t, a.Body, `"limit":null`)
	require.Contains(t, a.Body, `"remaining":null`)
}

func TestSendEmail_DailyLimitReached(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(3), Timezone: "Asia/Tokyo"})
	two := `{"to":["a@example.com","b@example.com"],"subject":"Hi","text":"Hi"}`
	b.post(key, two)
	a := b.ask(http.MethodPost, emailsPath, key, two)
	p := a.problem(http.StatusTooManyRequests, "daily_limit_reached")
	require.Equal(t, []*int{ptr(3), ptr(2), ptr(2)}, []*int{p.Limit, p.Used, p.Requested})
	require.NotNil(t, p.ResetsAt)
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	require.NoError(t, err)
	local := p.ResetsAt.In(tokyo)
	require.Equal(t, "00:00:00", local.Format(time.TimeOnly), "midnight of the tenant's zone")
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.WithinDuration(t, *p.ResetsAt, time.Now().Add(time.Duration(seconds)*time.Second), time.Minute)

	require.Len(t, b.pending(), 1, "nothing went to anybody")
	require.Equal(t, ptr(0), b.post(key, `{"to":"c@example.com","subject":"Hi","text":"Hi"}`).Quota.Remaining, "one still fits")
	b.patch(`{"settings":{"dailyLimit":100}}`)
	require.Equal(t, ptr(95), b.post(key, two).Quota.Remaining, "a raised limit holds at once")
	b.patch(`{"settings":{"dailyLimit":0}}`)
	p = b.ask(http.MethodPost, emailsPath, key, two).problem(http.StatusTooManyRequests, "daily_limit_reached")
	require.Equal(t, []*int{ptr(0), ptr(5), ptr(2)}, []*int{p.Limit, p.Used, p.Requested})
}

func TestSendEmail_TooLarge(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	email := func(text string) string { return `{"to":"a@example.com","subject":"Hi","text":"` + text + `"}` }
	// What is fine as JSON is three times as large in quoted-printable.
	b.ask(http.MethodPost, emailsPath, key, email(strings.Repeat("=", 10<<20))).problem(http.StatusRequestEntityTooLarge, "message_too_large")
	a := b.ask(http.MethodPost, emailsPath, key, email(strings.Repeat("x", 27<<20)))
	require.Contains(t, a.problem(http.StatusRequestEntityTooLarge, "body_too_large").Detail, strconv.Itoa(26<<20))
	require.Empty(t, b.pending())
	require.Equal(t, "queued", b.post(key, email(strings.Repeat("x", 20<<20))).Status)
}

// However many ask at once, the limit holds to the recipient.
func TestSendEmail_DailyLimitHoldsInParallel(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10)})
	answers := make([]answer, 20)
	var group sync.WaitGroup
	for i := range answers {
		r := b.request(http.MethodPost, emailsPath, key, `{"to":["a@example.com","b@example.com"],"subject":"Hi","text":"Hi"}`)
		group.Go(func() { answers[i] = b.send(r) })
	}
	group.Wait()
	accepted := 0
	for _, a := range answers {
		if a.Status == http.StatusAccepted {
			accepted++
			continue
		}
		a.problem(http.StatusTooManyRequests, "daily_limit_reached")
	}
	require.Equal(t, 5, accepted)
	require.Len(t, b.pending(), 5)
	require.Equal(t, 10, b.usage(key).Used)
}

func TestAddresses_OneOrAList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]apiserver.Addresses{
		`"a@example.com"`: {"a@example.com"}, `["a","b"]`: {"a", "b"}, `[]`: {}, `null`: nil, `"\u0000"`: {"\x00"},
	} {
		var got apiserver.Addresses
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{`5`, `{}`, `[5]`, `[["a"]]`, `"a`, `true`} {
		require.Error(t, json.Unmarshal([]byte(in), new(apiserver.Addresses)), in)
	}
}

func FuzzAddresses(f *testing.F) {
	for _, in := range []string{`"a@example.com"`, `["a","b"]`, `null`, `5`, `[5]`, `"\ud800"`, `" `, ``} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = new(apiserver.Addresses).UnmarshalJSON(in) // also of bytes that no decoder would hand it
		var read apiserver.Addresses
		if json.Unmarshal(in, &read) != nil {
			return
		}
		again, err := json.Marshal(read)
		require.NoError(t, err)
		var twice apiserver.Addresses
		require.NoError(t, json.Unmarshal(again, &twice))
		require.Equal(t, read, twice)
	})
}
