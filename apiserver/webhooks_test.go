package apiserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/webhook"
)

const webhooksPath = v1 + "/webhooks"

func (b *bundle) webhook(key, body string) apiserver.NewWebhook {
	b.t.Helper()
	return must[apiserver.NewWebhook](b, http.StatusCreated, http.MethodPost, webhooksPath, key, body)
}

func TestWebhooks_FromMakingToDeleting(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.webhook(key, `{"url":"https://acme.com/hook","events":["email.bounced","quota.*"]}`)
	require.True(t, made.Enabled)
	_, err := webhook.ParseSecret(made.Secret)
	require.NoError(t, err)
	require.Equal(t, []string{"email.bounced", "quota.*"}, made.Events)
	require.NotContains(t, strings.Join(b.values(`SELECT encode(secret, 'escape') FROM webhooks`), ""), made.Secret[6:])
	require.NotContains(t, b.log.String(), made.Secret[6:])

	one := webhooksPath + "/" + made.ID
	a := b.ask(http.MethodGet, one, key, nil)
	require.Equal(t, made.Webhook, read[apiserver.Webhook](a), "without the secret")
	tag := a.Header.Get("ETag")
	require.Equal(t, http.StatusNotModified, b.ask(http.MethodGet, one, key, nil, "If-None-Match", tag).Status)
	given := b.webhook(key, `{"url":"https://acme.com/2","events":["*"],"enabled":false,"secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}`)
	require.Equal(t, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", given.Secret)
	require.Equal(t, []any{false, "request"}, []any{given.Enabled, given.DisabledReason})
	items, _ := walk[apiserver.Webhook](b, webhooksPath+"?limit=1", key)
	require.Equal(t, []apiserver.Webhook{given.Webhook, made.Webhook}, items)

	changed := read[apiserver.Webhook](b.ask(http.MethodPatch, one, key, `{"url":"https://acme.com/3"}`, "If-Match", tag))
	require.Equal(t, []any{"https://acme.com/3", made.Events, true}, []any{changed.URL, changed.Events, changed.Enabled})
	off := must[apiserver.Webhook](b, http.StatusOK, http.MethodPatch, one, key, `{"enabled":false}`)
	require.WithinDuration(t, time.Now(), *off.DisabledAt, time.Minute)
	on := must[apiserver.Webhook](b, http.StatusOK, http.MethodPatch, one, key, `{"enabled":true,"events":["*"]}`)
	require.Equal(t, []any{true, "", []string{"*"}}, []any{on.Enabled, on.DisabledReason, on.Events})

	for _, method := range []string{http.MethodPatch, http.MethodDelete} {
		b.ask(method, one, key, map[string]string{http.MethodPatch: `{"enabled":false}`}[method], "If-Match", tag).
			problem(http.StatusPreconditionFailed, "precondition_failed")
	}
	b.ask(http.MethodPost, one+"/rotate-secret", key, `{}`, "If-Match", tag).problem(http.StatusPreconditionFailed, "precondition_failed")
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, one, key, nil).Status)
	for _, path := range []string{one, one + "/deliveries", webhooksPath + "/nonsense"} {
		b.ask(http.MethodGet, path, key, nil).problem(http.StatusNotFound, "webhook_not_found")
	}
}

func TestWebhooks_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.webhook(key, `{"url":"https://acme.com/hook","events":["*"]}`)
	for body, want := range map[string]string{
		`{"url":"http://acme.com/","events":["*"]}`:                              "body.url invalid_url",
		`{"url":"https://u:hunter2@acme.com/","events":["*"]}`:                   "body.url invalid_url",
		`{"url":"https://acme.com/#x","events":["*"]}`:                           "body.url invalid_url",
		`{"url":"","events":["*"]}`:                                              "body.url bad_length",
		`{"url":"https://acme.com/","events":[]}`:                                "body.events bad_length",
		`{"url":"https://acme.com/","events":["email.eaten"]}`:                   "body.events[0] unknown_event",
		`{"url":"https://acme.com/","events":["*","email*"]}`:                    "body.events[1] unknown_event",
		`{"url":"https://acme.com/","events":["nothing.*"]}`:                     "body.events[0] unknown_event",
		`{"url":"https://acme.com/","events":[".*"]}`:                            "body.events[0] unknown_event",
		`{"url":"https://acme.com/","events":["email.sent","email.sent"]}`:       "body.events[1] invalid_value",
		`{"url":"https://acme.com/","events":["*"],"secret":"hunter2"}`:          "body.secret invalid_secret",
		`{"url":"https://acme.com/","events":["*"],"secret":"whsec_aHVudGVyMg"}`: "body.secret invalid_secret",
		`{"events":["*"]}`: "body required",
	} {
		a := b.ask(http.MethodPost, webhooksPath, key, body)
		require.Contains(t, a.fields(422, "validation_failed"), want, body)
		require.NotContains(t, a.Body, "hunter2")
	}
	for body, want := range map[string]string{
		`{"url":"http://acme.com/"}`: "body.url invalid_url", `{"events":["x"]}`: "body.events[0] unknown_event", `{"url":null}`: "body.url invalid_url", `{"events":null}`: "body.events required",
		`{"secret":"x"}`: "body.secret unknown_field",
	} {
		require.Contains(t, b.ask(http.MethodPatch, webhooksPath+"/"+made.ID, key, body).fields(422, "validation_failed"), want, body)
	}
	require.Equal(t, []string{"body.overlap out_of_range"},
		b.ask(http.MethodPost, webhooksPath+"/"+made.ID+"/rotate-secret", key, `{"overlap":"31d"}`).fields(422, "validation_failed"))
	for range 19 {
		b.webhook(key, `{"url":"https://acme.com/hook","events":["*"]}`)
	}
	b.ask(http.MethodPost, webhooksPath, key, `{"url":"https://acme.com/hook","events":["*"]}`).problem(http.StatusConflict, "too_many_webhooks")
}

// A request that is repeated gets the same webhook, with the same secret.
func TestWebhooks_Idempotency(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	ask := func() answer {
		return b.ask(http.MethodPost, webhooksPath, key, `{"url":"https://acme.com/hook","events":["*"]}`, "Idempotency-Key", "one")
	}
	first, again := ask(), ask()
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, first.Body, again.Body)
	require.NotContains(t, strings.Join(b.values(`SELECT encode(body, 'escape') FROM idempotency_keys`), ""), "whsec_", "it is kept sealed")
}

func TestWebhooks_WithoutAMasterKey(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.webhook(key, `{"url":"https://acme.com/hook","events":["*"]}`)
	templates, err := engine()
	require.NoError(t, err)
	b.Server = b.process(temporalAway(t), templates, func(c *apiserver.Config) { c.Webhooks = apiserver.Webhooks{} })
	b.ask(http.MethodPost, webhooksPath, key, `{"url":"https://acme.com/hook","events":["*"]}`).problem(http.StatusServiceUnavailable, "master_key_missing")
	for _, what := range []string{"/rotate-secret", "/test"} {
		b.ask(http.MethodPost, webhooksPath+"/"+made.ID+what, key, nil).problem(http.StatusServiceUnavailable, "master_key_missing")
	}
	require.Equal(t, []string{"body.url invalid_url"},
		b.ask(http.MethodPatch, webhooksPath+"/"+made.ID, key, `{"url":"http://127.0.0.1/"}`).fields(422, "validation_failed"))
}

// A test call is signed with both secrets during an overlap, and its answer is shown.
func TestWebhooks_TestCall(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	requests, bodies := make(chan *http.Request, 1), make(chan []byte, 1)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r
		bodies <- body
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}))
	t.Cleanup(endpoint.Close)
	made := b.webhook(key, `{"url":"`+endpoint.URL+`","events":["*"],"enabled":false}`)
	one := webhooksPath + "/" + made.ID
	rotated := must[apiserver.NewWebhook](b, http.StatusOK, http.MethodPost, one+"/rotate-secret", key, nil)
	require.NotEqual(t, made.Secret, rotated.Secret)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *rotated.OldSecretEnds, time.Minute)

	test := must[apiserver.WebhookTest](b, http.StatusOK, http.MethodPost, one+"/test", key, nil)
	require.Equal(t, []any{false, 418, "short and stout", "status"}, []any{test.Delivered, test.StatusCode, test.Response, test.Error})
	request, body := <-requests, <-bodies
	require.Equal(t, test.EventID, request.Header.Get("Webhook-Id"))
	require.Contains(t, string(body), `"type":"webhook.test"`)
	for _, secret := range []string{made.Secret, rotated.Secret} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, receiver.Verify(body, request.Header))
	}
	at := must[apiserver.NewWebhook](b, http.StatusOK, http.MethodPost, one+"/rotate-secret", key, `{"overlap":"0s"}`)
	require.Nil(t, at.OldSecretEnds)

	inside := b.webhook(key, `{"url":"https://10.0.0.1/hook","events":["*"]}`)
	refused := must[apiserver.WebhookTest](b, http.StatusOK, http.MethodPost, webhooksPath+"/"+inside.ID+"/test", key, nil)
	require.Equal(t, []any{false, 0, "address_refused"}, []any{refused.Delivered, refused.StatusCode, refused.Error})
}

func TestWebhooks_DeliveriesAndReplay(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.webhook(key, `{"url":"https://acme.com/hook","events":["email.*"]}`)
	b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`)
	b.post(key, `{"to":"bob@example.com","subject":"Hi","text":"Hi"}`)
	events := b.events(key, "", 2).Items
	webhookID, err := id.Webhook.Parse(made.ID)
	require.NoError(t, err)
	eventID, err := id.Event.Parse(events[0].ID)
	require.NoError(t, err)
	next := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	require.NoError(t, b.store.WriteWebhookCalls(t.Context(), store.WebhookRef{TenantID: acme, ID: webhookID}, store.WebhookCalls{
		Calls: []store.WebhookDelivery{
			{EventID: eventID, EventType: "email.accepted", Attempt: 1, StartedAt: next, Duration: 250 * time.Millisecond, Status: 500, Response: "oh", Error: "status", NextAt: &next},
		},
	}))
	one := webhooksPath + "/" + made.ID
	list, _ := walk[apiserver.WebhookDelivery](b, one+"/deliveries?limit=1", key)
	require.Len(t, list, 1)
	require.Equal(t, apiserver.WebhookDelivery{
		ID: list[0].ID, EventID: events[0].ID, EventType: "email.accepted", Attempt: 1, NextAt: &next,
		WebhookCall: apiserver.WebhookCall{StartedAt: next, DurationMS: 250, StatusCode: 500, Response: "oh", Error: "status"},
	}, list[0])
	for query, want := range map[string]int{"?eventId=" + events[0].ID: 1, "?eventId=" + events[1].ID: 0, "?failed=true": 1} {
		got, _ := walk[apiserver.WebhookDelivery](b, one+"/deliveries"+query, key)
		require.Len(t, got, want, query)
	}
	require.Equal(t, []string{"query.eventId invalid_value"}, b.ask(http.MethodGet, one+"/deliveries?eventId=x", key, nil).fields(422, "validation_failed"))

	for body, want := range map[string]int{
		`{"eventIds":["` + events[0].ID + `"]}`:                                     1,
		`{"after":"evt_00000000000000000000000000"}`:                                2,
		`{"after":"` + events[0].ID + `"}`:                                          1,
		`{"after":"evt_00000000000000000000000000","until":"` + events[0].ID + `"}`: 1,
		`{"after":"` + events[1].ID + `"}`:                                          0,
	} {
		replayed := must[apiserver.WebhookReplay](b, http.StatusAccepted, http.MethodPost, one+"/replay", key, body)
		require.Equal(t, apiserver.WebhookReplay{Events: want}, replayed, body)
	}
	for body, want := range map[string]string{
		`{}`: "body invalid_value", `{"until":"` + events[0].ID + `"}`: "body invalid_value",
		`{"eventIds":["` + events[0].ID + `"],"after":"` + events[0].ID + `"}`: "body invalid_value",
		`{"eventIds":["x"]}`: "body.eventIds[0] invalid_cursor", `{"after":"x"}`: "body.after invalid_cursor",
		`{"after":"` + events[0].ID + `","until":"x"}`:    "body.until invalid_cursor",
		`{"eventIds":["evt_7zzzzzzzzzzzzzzzzzzzzzzzzz"]}`: "body.eventIds[0] event_not_found",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodPost, one+"/replay", key, body).fields(422, "validation_failed"), body)
	}
	must[apiserver.Webhook](b, http.StatusOK, http.MethodPatch, one, key, `{"enabled":false}`)
	b.ask(http.MethodPost, one+"/replay", key, `{"after":"`+events[0].ID+`"}`).problem(http.StatusConflict, "webhook_disabled")
}

// A tenant can not pound a server with test calls; another tenant's are not counted.
func TestWebhooks_TestCallsAreFew(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	theirs := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	test := func(key string) func() answer {
		made := b.webhook(key, `{"url":"https://10.0.0.1/hook","events":["*"]}`) // is refused at once
		return func() answer { return b.ask(http.MethodPost, webhooksPath+"/"+made.ID+"/test", key, nil) }
	}
	mine, made := test(key), 0
	full := mine()
	for ; full.Status == http.StatusOK; full = mine() {
		made++
	}
	require.GreaterOrEqual(t, made, 10)
	require.Contains(t, full.problem(http.StatusTooManyRequests, "too_many_test_calls").Detail, "10 test calls")
	seconds, err := strconv.Atoi(full.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.True(t, seconds >= 1 && seconds <= 6, seconds)
	require.Equal(t, http.StatusOK, test(theirs)().Status)
}
