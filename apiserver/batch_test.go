package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

// batch sends emails of the API's JSON, and gives the answer to each.
func (b *bundle) batch(key string, emails ...string) apiserver.BatchAccepted {
	b.t.Helper()
	out := must[apiserver.BatchAccepted](b, http.StatusAccepted, http.MethodPost, batchPath, key, `{"emails":[`+strings.Join(emails, ",")+`]}`)
	require.Len(b.t, out.Results, len(emails))
	require.Equal(b.t, len(emails), out.Accepted+out.Failed)
	for i, result := range out.Results {
		require.NotEqual(b.t, result.Email == nil, result.Error == nil, "email %d was accepted or refused", i)
	}
	return out
}

// outcomes is a word for each result of a batch: a status, or a code.
func outcomes(out apiserver.BatchAccepted) []string {
	words := make([]string, len(out.Results))
	for i, result := range out.Results {
		if result.Error != nil {
			words[i] = result.Error.Code
		} else {
			words[i] = result.Email.Status
		}
	}
	return words
}

func TestBatch_InOrder(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"welcome","subject":"Hi {{name}}","text":"x"}`)
	out := b.batch(key,
		`{"to":"a@example.com","subject":"0","text":"x"}`,
		`{"to":"nonsense","subject":"1","text":"x"}`,
		`{"to":["b@example.com","c@example.com"],"subject":"2","html":"<p>x</p>","tags":["t"]}`,
		`{"to":"d@example.com","template":"welcome","variables":{"name":"Ada"}}`,
		`{"to":"e@example.com","template":"welcome","variables":{"name":"Bob"}}`,
		`{"to":"f@example.com","template":"welcome","variables":{}}`,
	)
	require.Equal(t, []string{"queued", "validation_failed", "queued", "queued", "queued", "validation_failed"}, outcomes(out))
	require.Equal(t, 4, out.Accepted)
	for i, want := range map[int]string{0: "0", 2: "2"} {
		require.Equal(t, want, b.email(key, out.Results[i].Email.ID).Subject)
	}
	require.Equal(t, []string{"b@example.com", "c@example.com"}, []string{
		out.Results[2].Email.Recipients[0].Email, out.Results[2].Email.Recipients[1].Email,
	})
	require.Equal(t, 3, out.Results[2].Email.Quota.Used, "after it, not after all")
	require.Equal(t, 5, out.Results[4].Email.Quota.Used)
	require.JSONEq(t, `{"name":"Bob"}`, string(b.letter(out.Results[4].Email.ID).Content.Variables))
	require.Equal(t, "body.variables.name", out.Results[5].Error.Errors[0].Location)

	pending := b.pending()
	require.Len(t, pending, 4)
	for i, at := range []int{0, 2, 3, 4} {
		require.Equal(t, emailUUID(t, out.Results[at].Email.ID), pending[i].EmailID)
	}
}

// Whatever is wrong with an email is said as POST /emails says it, and is no other email's affair.
func TestBatch_OneBadOfEachKind(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for name, bad := range map[string]string{
		"unknown field":    `{"to":"a@example.com","subject":"Hi","text":"Hi","sbject":"x"}`,
		"casing":           `{"To":"a@example.com","subject":"Hi","text":"Hi"}`,
		"address":          `{"to":["a@example.com","nonsense"],"subject":"Hi","text":"Hi"}`,
		"no recipient":     `{"subject":"Hi","text":"Hi"}`,
		"type":             `{"to":5,"subject":"Hi","text":"Hi"}`,
		"nothing":          `{}`,
		"null":             `null`,
		"a number":         `5`,
		"a text":           `"a@example.com"`,
		"a list":           `[]`,
		"subject":          `{"to":"a@example.com","subject":"Hi\nBcc: b@example.com","text":"Hi"}`,
		"header":           `{"to":"a@example.com","subject":"Hi","text":"Hi","headers":{"From":"x"}}`,
		"sender":           `{"to":"a@example.com","from":"a@b.example","subject":"Hi","text":"Hi"}`,
		"template":         `{"to":"a@example.com","template":"none"}`,
		"own template":     `{"to":"a@example.com","subject":"Hi","text":"{{#if a}}","variables":{}}`,
		"base64":           `{"to":"a@example.com","subject":"Hi","text":"Hi","attachments":[{"filename":"a","content":"%"}]}`,
		"two wrong things": `{"to":"a","cc":["b"],"subject":"Hi","text":"Hi"}`,
		"not a time":       `{"to":"a@example.com","subject":"Hi","text":"Hi","scheduledAt":"tomorrow"}`,
		"class":            `{"to":"a@example.com","subject":"Hi","text":"Hi","class":"urgent"}`,
		"too many":         `{"to":[` + strings.Repeat(`"a@example.com",`, 50) + `"b@example.com"],"subject":"Hi","text":"Hi"}`,
		"too large":        `{"to":"a@example.com","subject":"Hi","text":"` + strings.Repeat("=", 9<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone := read[apiserver.Problem](b.ask(http.MethodPost, emailsPath, key, bad))
			out := b.batch(key, hi, bad, ho)
			require.Equal(t, []string{"queued", alone.Code, "queued"}, outcomes(out))
			got := *out.Results[1].Error
			require.NotEmpty(t, got.RequestID)
			got.RequestID = alone.RequestID
			require.Equal(t, alone, got)
		})
	}
}

func TestBatch_AllBad(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	require.Equal(t, []string{"validation_failed", "validation_failed"}, outcomes(b.batch(key, `{}`, `{"to":"x"}`)))
	require.Empty(t, b.pending())
	b.provisioning("new", tenant.Settings{FromEmail: "a@acme.com"})
	require.Equal(t, []string{"tenant_provisioning", "tenant_provisioning"}, outcomes(b.batch(b.key("new"), hi, ho)))
	require.Empty(t, b.values(`SELECT id::text FROM emails`))
}

func TestBatch_IsNone(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for body, want := range map[string]string{
		`{"emails":[]}`:                    "body.emails bad_length",
		`{}`:                               "body required",
		`null`:                             "body invalid_value",
		`[` + hi + `]`:                     "body invalid_value",
		`{"emails":` + hi + `}`:            "body.emails invalid_value",
		`{"emails":null}`:                  "body.emails invalid_value",
		`{"emails":[` + hi + `],"tag":""}`: "body.tag unknown_field",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodPost, batchPath, key, body).fields(422, "validation_failed"), body)
	}
	for _, body := range []string{`{"emails":[` + hi, `{"emails":[{"to":}]}`} {
		require.Equal(t, []string{"body malformed_json"}, b.ask(http.MethodPost, batchPath, key, body).fields(http.StatusBadRequest, "malformed_request"))
	}
	b.ask(http.MethodPost, batchPath, key, nil).problem(http.StatusBadRequest, "malformed_request")
	b.ask(http.MethodPost, batchPath, key, strings.Repeat(" ", 27<<20)).problem(http.StatusRequestEntityTooLarge, "body_too_large")
	require.Empty(t, b.pending())
}

func TestBatch_AThousandAndNoMore(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(5000)})
	emails := make([]string, 1001)
	for i := range emails {
		emails[i] = fmt.Sprintf(`{"to":["a@example.com","b@example.com"],"subject":"%d","text":"x"}`, i)
	}
	require.Equal(t, []string{"body.emails bad_length"},
		b.ask(http.MethodPost, batchPath, key, `{"emails":[`+strings.Join(emails, ",")+`]}`).fields(422, "validation_failed"))
	require.Empty(t, b.pending())

	out := b.batch(key, emails[:1000]...)
	require.Equal(t, 1000, out.Accepted)
	require.Len(t, b.pending(), 1000)
	require.Equal(t, ptr(3000), out.Results[999].Email.Quota.Remaining)
	require.Equal(t, 2000, b.usage(key).Used)
	require.Equal(t, "999", b.email(key, out.Results[999].Email.ID).Subject)
}

func TestBatch_OverTheDailyLimit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(3)})
	two := `{"to":["a@example.com","b@example.com"],"subject":"2","text":"x"}`
	out := b.batch(key, two, two, hi, hi)
	require.Equal(t, []string{"queued", "daily_limit_reached", "queued", "daily_limit_reached"}, outcomes(out))
	for i, want := range map[int][]int{1: {2, 2}, 3: {3, 1}} {
		p := out.Results[i].Error
		require.Equal(t, []*int{ptr(3), ptr(want[0]), ptr(want[1])}, []*int{p.Limit, p.Used, p.Requested})
		require.Equal(t, http.StatusTooManyRequests, p.Status)
		require.True(t, p.ResetsAt.Equal(out.Results[0].Email.Quota.ResetsAt))
	}
	require.Len(t, b.pending(), 2)
	require.Equal(t, 3, b.usage(key).Used)
}

func TestBatch_HeldOneByOne(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(2), OverLimit: tenant.Queue})
	three := `{"to":["a@example.com","b@example.com","c@example.com"],"subject":"3","text":"x"}`
	out := b.batch(key, hi, hi, hi, three, ho)
	require.Equal(t, []string{"queued", "queued", "held", "daily_limit_reached", "held"}, outcomes(out))
	midnight := out.Results[0].Email.Quota.ResetsAt
	for _, i := range []int{2, 4} {
		require.True(t, midnight.Equal(*out.Results[i].Email.ReleaseAt))
		require.Equal(t, "held", out.Results[i].Email.Recipients[0].Status)
	}
	require.Nil(t, out.Results[0].Email.ReleaseAt)
	require.Len(t, b.pending(), 2)
	require.Equal(t, 2, b.usage(key).Held)
}

// What could not be checked in time says nothing about the emails: nothing is sent, and all
// can be tried again.
func TestBatch_CouldNotBeChecked(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	templates, err := template.NewEngine(template.Config{VMs: 1})
	require.NoError(t, err)
	templates.Close()
	b.Server = b.process(temporalAway(t), templates)
	b.ask(http.MethodPost, batchPath, key, `{"emails":[`+hi+`,{"to":"a@example.com","subject":"Hi","text":"{{a}}","variables":{"a":1}}]}`).
		problem(http.StatusServiceUnavailable, "render_interrupted")
	require.Empty(t, b.pending())
	require.Equal(t, []string{"queued"}, outcomes(b.batch(key, hi)))
}
