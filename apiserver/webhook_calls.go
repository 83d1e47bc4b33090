package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

// WebhookCall is what became of a call.
type WebhookCall struct {
	StartedAt  time.Time `json:"startedAt"`
	DurationMS int64     `json:"durationMs"`
	StatusCode int       `json:"statusCode,omitempty" doc:"HTTP status of the answer; absent when there was none" example:"200"`
	Response   string    `json:"response,omitempty" doc:"How the answer begins, at most 1 kB"`
	Error      string    `json:"error,omitempty" enum:"status,redirect,timeout,name_not_found,address_refused,connection_refused,connection,tls,interrupted" doc:"Why it failed; absent: it did not"`
}

// WebhookDelivery is a call of a webhook for an event.
type WebhookDelivery struct {
	ID        string `json:"id" example:"whd_01h455vb4pex5vsknk084sn02q"`
	EventID   string `json:"eventId" example:"evt_0000000yqs800r0000000000b4"`
	EventType string `json:"eventType" example:"email.bounced"`
	Attempt   int    `json:"attempt" doc:"Number of the call for the event, from 1; a replay begins anew"`
	WebhookCall
	NextAt *time.Time `json:"nextAt" doc:"When it is made again; null: it is not"`
}

// WebhookTest is a test call.
type WebhookTest struct {
	EventID   string `json:"eventId" doc:"The id that the call had" example:"evt_01h455vb4pex5vsknk084sn02q"`
	Delivered bool   `json:"delivered" doc:"Whether the endpoint answered with 2xx"`
	WebhookCall
}

// ReplayWebhook says which events a webhook is called for again.
type ReplayWebhook struct {
	EventIDs []string `json:"eventIds,omitempty" minItems:"1" maxItems:"1000" doc:"These, whatever their types"`
	After    string   `json:"after,omitempty" maxLength:"40" doc:"Or those behind this event: of the webhook's types, at most 10,000 at a time" example:"evt_0000000yqs800r0000000000b4"`
	Until    string   `json:"until,omitempty" maxLength:"40" doc:"And not behind this one. Absent: all that have happened" example:"evt_0000000yqs800r0000000000b4"`
}

// WebhookReplay is a replay that was begun.
type WebhookReplay struct {
	Events int     `json:"events" doc:"How many events the webhook is called for"`
	Next   *string `json:"next" doc:"Where a range had more than 10,000 events: pass it as after to go on; null: it had not" example:"evt_0000000yqs800r0000000000b4"`
}

const replayTogether = 10_000

func (s *Server) registerWebhookCalls() {
	tags := []string{"Webhooks"}
	register(s, forTenants(apikey.WebhooksWrite), huma.Operation{
		OperationID: "test-webhook", Method: http.MethodPost, Path: "/webhooks/{id}/test", Tags: tags,
		Summary: "Call a webhook to see what it answers",
		Description: "With a signed event of type webhook.test, also while the webhook is disabled. The call is made once, and not logged. " +
			"A tenant can have 10 made a minute: 429 `too_many_test_calls`, on each server.",
		Errors: []int{http.StatusTooManyRequests},
	}, s.testWebhook)
	register(s, forTenants(apikey.WebhooksRead), huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: "/webhooks/{id}/deliveries", Tags: tags,
		Summary: "List the calls of a webhook", Description: "The log is kept for 7 days.",
	}, s.listWebhookDeliveries)
	register(s, forTenants(apikey.WebhooksWrite), s.creates(huma.Operation{
		OperationID: "replay-webhook", Method: http.MethodPost, Path: "/webhooks/{id}/replay", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Call a webhook for events again", Description: "The calls have the same ids as before.",
	}), s.replayWebhook)
}

func (s *Server) testWebhook(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
},
) (*body[WebhookTest], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	w, err := s.Store.Webhook(ctx, caller(ctx).ID, webhookID)
	if err != nil {
		return nil, err
	}
	secrets, err := s.Webhooks.open(w)
	if err != nil {
		return nil, err
	}
	if err := s.tests.allow(w.TenantID); err != nil {
		return nil, err
	}
	test := Event{ID: id.Event.NewString(), Type: EventType(event.WebhookTest), Timestamp: time.Now().UTC(), Data: EventData{WebhookID: in.ID}}
	payload, err := json.Marshal(test)
	if err != nil {
		return nil, err
	}
	o := s.Webhooks.Caller.Post(ctx, webhookhttp.Call{URL: w.URL, ID: test.ID, Payload: payload, Secrets: secrets})
	return &body[WebhookTest]{WebhookTest{
		EventID: test.ID, Delivered: o.Error == "", WebhookCall: showCall(o.Started, o.Duration, o.Status, o.Snippet, o.Error),
	}}, nil
}

// open gives the secrets that calls are signed with now.
func (w Webhooks) open(hook store.Webhook) ([]webhook.Secret, error) {
	if w.Keys == nil || w.Caller == nil {
		return nil, errMasterKey
	}
	return webhook.OpenSecrets(w.Keys, hook.TenantID, id.Webhook.Format(hook.ID), hook.Sealed(time.Now())...)
}

func (s *Server) listWebhookDeliveries(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
	Page
	EventID string `query:"eventId" maxLength:"40" doc:"Only calls for this event"`
	Failed  bool   `query:"failed" doc:"Only calls that failed"`
},
) (*body[list[WebhookDelivery]], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	ask := store.DeliveryQuery{Failed: in.Failed, After: in.After, Limit: in.Limit}
	if in.EventID != "" {
		eventID, err := id.Event.Parse(in.EventID)
		if err != nil {
			return nil, fault.InvalidFields(fault.Field{Location: "query.eventId", Code: "invalid_value", Message: "not the id of an event"})
		}
		ask.EventID = &eventID
	}
	items, next, err := s.Store.ListWebhookDeliveries(ctx, caller(ctx).ID, webhookID, ask)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showWebhookDelivery), nil
}

func (s *Server) replayWebhook(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
	Body ReplayWebhook
},
) (*body[WebhookReplay], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	ask, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	keep := keepAnswer(ctx, http.StatusAccepted, func(done store.Replayed) (any, error) { return showReplay(done), nil })
	done, err := s.Store.ReplayWebhook(ctx, caller(ctx).ID, webhookID, ask, keep...)
	if err != nil {
		return nil, err
	}
	return &body[WebhookReplay]{showReplay(done)}, nil
}

func showReplay(done store.Replayed) WebhookReplay {
	shown := WebhookReplay{Events: done.Events}
	if done.Last != nil {
		next := id.Event.Format(*done.Last)
		shown.Next = &next
	}
	return shown
}

func (r ReplayWebhook) read() (ask store.Replay, err error) {
	if (r.EventIDs == nil) == (r.After == "") || (r.After == "" && r.Until != "") {
		return ask, fault.InvalidFields(fault.Field{
			Location: "body", Code: "invalid_value", Message: "has either eventIds, or after with or without until",
		})
	}
	for i, text := range r.EventIDs {
		eventID, err := eventCursor("body.eventIds["+strconv.Itoa(i)+"]", text)
		if err != nil {
			return ask, err
		}
		ask.IDs = append(ask.IDs, eventID)
	}
	ask.Limit, ask.Until = replayTogether, uuid.Max
	if ask.After, err = eventCursor("body.after", r.After); err == nil && r.Until != "" {
		ask.Until, err = eventCursor("body.until", r.Until)
	}
	return ask, err
}

func showCall(started time.Time, took time.Duration, status int, response, why string) WebhookCall {
	return WebhookCall{StartedAt: started.UTC(), DurationMS: took.Milliseconds(), StatusCode: status, Response: response, Error: why}
}

func showWebhookDelivery(d store.WebhookDelivery) WebhookDelivery {
	return WebhookDelivery{
		ID: id.Delivery.Format(d.ID), EventID: id.Event.Format(d.EventID), EventType: d.EventType, Attempt: d.Attempt,
		WebhookCall: showCall(d.StartedAt, d.Duration, d.Status, d.Response, d.Error), NextAt: utc(d.NextAt),
	}
}
