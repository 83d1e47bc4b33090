package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

// Webhooks is what the API needs for webhooks.
type Webhooks struct {
	Keys     *keyring.Keyring // that secrets are sealed with; nil: no webhook can be made
	Loopback webhook.Loopback
	// Caller makes test calls.
	Caller interface {
		Post(ctx context.Context, c webhookhttp.Call) webhookhttp.Outcome
	}
}

// Webhook is an endpoint that is called for events.
type Webhook struct {
	ID             string     `json:"id" example:"whk_01h455vb4pex5vsknk084sn02q"`
	URL            string     `json:"url" example:"https://app.acme.com/hooks/mail"`
	Events         []string   `json:"events" example:"[\"email.bounced\",\"quota.*\"]"`
	Enabled        bool       `json:"enabled" doc:"Whether it is called"`
	DisabledReason string     `json:"disabledReason,omitempty" enum:"request,gone,failing" doc:"request: a PATCH; gone: it answered 410; failing: every call failed for 5 days"`
	DisabledAt     *time.Time `json:"disabledAt,omitempty"`
	OldSecretEnds  *time.Time `json:"oldSecretEnds,omitempty" doc:"Until then calls are signed with the secret before the last rotation too"`
	CreatedAt      time.Time  `json:"createdAt"`
	UpdatedAt      time.Time  `json:"updatedAt"`
}

// NewWebhook is a webhook with its secret.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"What calls are signed with. It is shown this once." example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"`
}

// CreateWebhook is a webhook to be made.
type CreateWebhook struct {
	URL     string   `json:"url" minLength:"1" maxLength:"2000" doc:"https, on port 443 or 8443, without user or fragment; its name must lead to a public address whenever it is called" example:"https://app.acme.com/hooks/mail"`
	Events  []string `json:"events" minItems:"1" maxItems:"50" doc:"Types of events, groups of them such as email.*, or *" example:"[\"email.bounced\",\"quota.*\"]"`
	Enabled *bool    `json:"enabled,omitempty" default:"true"`
	Secret  string   `json:"secret,omitempty" maxLength:"100" doc:"whsec_ and 24 to 64 bytes in base64; one is made when it is absent" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"`
}

// UpdateWebhook is a merge patch (RFC 7396): absent members stay.
type UpdateWebhook struct {
	URL     string   `json:"url,omitempty" minLength:"1" maxLength:"2000"`
	Events  []string `json:"events,omitempty" minItems:"1" maxItems:"50"`
	Enabled *bool    `json:"enabled,omitempty"`
}

// RotateWebhookSecret says how a secret is replaced.
type RotateWebhookSecret struct {
	Overlap string `json:"overlap,omitempty" pattern:"^[0-9]{1,4}[smhd]$" default:"24h" doc:"How long calls are signed with the old secret too, at most 30d" example:"24h"`
	Secret  string `json:"secret,omitempty" maxLength:"100" doc:"The new one; one is made when it is absent"`
}

// WebhookPath is the path of a webhook.
type WebhookPath struct {
	ID string `path:"id" maxLength:"40" example:"whk_01h455vb4pex5vsknk084sn02q"`
}

func (p WebhookPath) parse() (uuid.UUID, error) {
	webhookID, err := id.Webhook.Parse(p.ID)
	if err != nil {
		return webhookID, noSuch("webhook_not_found", "webhook")
	}
	return webhookID, nil
}

func (s *Server) registerWebhooks() {
	tags := []string{"Webhooks"}
	register(s, forTenants(apikey.WebhooksWrite), s.createsSecret(huma.Operation{
		OperationID: "create-webhook", Method: http.MethodPost, Path: "/webhooks", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a webhook", Description: "It is called for what happens from then on. A tenant has at most 20.",
	}), s.createWebhook)
	register(s, forTenants(apikey.WebhooksRead), huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: "/webhooks", Tags: tags, Summary: "List webhooks",
	}, s.listWebhooks)
	register(s, forTenants(apikey.WebhooksRead), huma.Operation{
		OperationID: "get-webhook", Method: http.MethodGet, Path: "/webhooks/{id}", Tags: tags, Summary: "Get a webhook",
	}, s.getWebhook)
	register(s, forTenants(apikey.WebhooksWrite), huma.Operation{
		OperationID: "update-webhook", Method: http.MethodPatch, Path: "/webhooks/{id}", Tags: tags, Summary: "Change a webhook",
		Description: "A merge patch (RFC 7396): what is absent stays as it is. A webhook that is disabled forgets the calls that it waited " +
			"to make again; one that is enabled is called for what happens from then on, and by a replay for what happened meanwhile.",
	}, s.updateWebhook)
	register(s, forTenants(apikey.WebhooksWrite), huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: "/webhooks/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a webhook",
	}, s.deleteWebhook)
	register(s, forTenants(apikey.WebhooksWrite), s.createsSecret(huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: "/webhooks/{id}/rotate-secret", Tags: tags,
		Summary:     "Replace the secret of a webhook by a new one",
		Description: "Until the end of the overlap, calls have a signature of each. A rotation within the overlap ends the oldest secret.",
	}), s.rotateWebhookSecret)
}

func (s *Server) createWebhook(ctx context.Context, in *struct {
	TenantHeader
	Body CreateWebhook
},
) (*resource[NewWebhook], error) {
	if field := s.Webhooks.check(in.Body.URL, in.Body.Events); field != nil {
		return nil, fault.InvalidFields(*field)
	}
	w := store.Webhook{
		TenantID: caller(ctx).ID, ID: id.New(), URL: in.Body.URL, Events: in.Body.Events, Enabled: in.Body.Enabled == nil || *in.Body.Enabled,
	}
	secret, sealed, err := s.Webhooks.seal(w.TenantID, w.ID, in.Body.Secret)
	if err != nil {
		return nil, err
	}
	w.Secret = sealed
	keep := keepCreated(ctx, func(w store.Webhook) (any, error) { return showNewWebhook(w, secret), nil })
	if w, err = s.Store.CreateWebhook(ctx, w, keep...); err != nil {
		return nil, err
	}
	return newWebhook(w, secret)
}

func showNewWebhook(w store.Webhook, secret webhook.Secret) NewWebhook {
	return NewWebhook{Webhook: showWebhook(w), Secret: secret.Text()}
}

func newWebhook(w store.Webhook, secret webhook.Secret) (*resource[NewWebhook], error) {
	tag, err := tagOf(showWebhook(w))
	return &resource[NewWebhook]{tag, showNewWebhook(w, secret)}, err
}

// seal reads a secret, or makes one where there is none, and seals it for the database.
func (w Webhooks) seal(tenantID string, webhookID uuid.UUID, text string) (secret webhook.Secret, sealed []byte, err error) {
	if w.Keys == nil {
		return nil, nil, errMasterKey
	}
	if secret = webhook.NewSecret(); text != "" {
		if secret, err = webhook.ParseSecret(text); err != nil {
			return nil, nil, fault.InvalidFields(fault.Field{
				Location: "body.secret", Code: "invalid_secret", Message: "is not whsec_ and 24 to 64 bytes in base64",
			})
		}
	}
	return secret, w.Keys.Seal(webhook.Place(tenantID, id.Webhook.Format(webhookID)), secret), nil
}

var errMasterKey = fault.New(fault.Unavailable, "master_key_missing",
	"This installation has no master key, so it can keep no secrets. Its operator sets MAILTURA_MASTER_KEY.")

// check says what is wrong with what a webhook is to be; nil: nothing.
func (w Webhooks) check(url string, events []string) *fault.Field {
	if wrong := webhook.CheckURL(url, w.Loopback); wrong != "" {
		return &fault.Field{Location: "body.url", Code: "invalid_url", Message: wrong}
	}
	if len(events) == 0 {
		return &fault.Field{Location: "body.events", Code: "required", Message: "a webhook has some events"}
	}
	for i, pattern := range events {
		if !event.Matches(pattern) {
			return &fault.Field{
				Location: "body.events[" + strconv.Itoa(i) + "]", Code: "unknown_event",
				Message: "is no type of events, no group of them such as email.*, and not *",
			}
		}
		if slices.Contains(events[:i], pattern) {
			return &fault.Field{Location: "body.events[" + strconv.Itoa(i) + "]", Code: "invalid_value", Message: "is there already"}
		}
	}
	return nil
}

func (s *Server) listWebhooks(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[Webhook]], error) {
	items, next, err := s.Store.ListWebhooks(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showWebhook), nil
}

func (s *Server) getWebhook(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
	IfNoneMatchHeader
},
) (*resource[Webhook], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	w, err := s.Store.Webhook(ctx, caller(ctx).ID, webhookID)
	if err != nil {
		return nil, err
	}
	return newResource(showWebhook(w))
}

type updateWebhookInput struct {
	TenantHeader
	WebhookPath
	IfMatchHeader
	RawBody []byte
	Body    UpdateWebhook
}

func (s *Server) updateWebhook(ctx context.Context, in *updateWebhookInput) (*resource[Webhook], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	w, err := s.Store.UpdateWebhook(ctx, caller(ctx).ID, webhookID, func(w *store.Webhook) error {
		if err := in.allows(showWebhook(*w)); err != nil {
			return err
		}
		return s.Webhooks.merge(w, in.RawBody)
	})
	if err != nil {
		return nil, err
	}
	return newResource(showWebhook(w))
}

// merge applies a merge patch to what the API lets change of a webhook.
func (w Webhooks) merge(hook *store.Webhook, patch []byte) error {
	type document struct {
		URL     string   `json:"url"`
		Events  []string `json:"events"`
		Enabled bool     `json:"enabled"`
	}
	before, err := json.Marshal(document{hook.URL, hook.Events, hook.Enabled})
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, patch)
	if err != nil {
		return fault.Wrap(err, fault.Malformed, "malformed_request", "The body is not a merge patch.")
	}
	var doc document
	decoder := json.NewDecoder(bytes.NewReader(after))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return fault.Wrap(err, fault.Invalid, "validation_failed", "The patched webhook is not valid.")
	}
	if field := w.check(doc.URL, doc.Events); field != nil {
		return fault.InvalidFields(*field)
	}
	hook.URL, hook.Events, hook.Enabled = doc.URL, doc.Events, doc.Enabled
	return nil
}

func (s *Server) deleteWebhook(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
	IfMatchHeader
},
) (*struct{}, error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	return nil, s.Store.DeleteWebhook(ctx, caller(ctx).ID, webhookID, in.allowsWebhook)
}

func (h *IfMatchHeader) allowsWebhook(w store.Webhook) error { return h.allows(showWebhook(w)) }

func (s *Server) rotateWebhookSecret(ctx context.Context, in *struct {
	TenantHeader
	WebhookPath
	IfMatchHeader
	Body *RotateWebhookSecret
},
) (*resource[NewWebhook], error) {
	webhookID, err := in.parse()
	if err != nil {
		return nil, err
	}
	ask := RotateWebhookSecret{}
	overlap := defaultOverlap
	if in.Body != nil {
		ask = *in.Body
		if overlap, err = readOverlap(ask.Overlap); err != nil {
			return nil, err
		}
	}
	secret, sealed, err := s.Webhooks.seal(caller(ctx).ID, webhookID, ask.Secret)
	if err != nil {
		return nil, err
	}
	keep := keepAnswer(ctx, http.StatusOK, func(w store.Webhook) (any, error) { return showNewWebhook(w, secret), nil })
	w, err := s.Store.RotateWebhookSecret(ctx, caller(ctx).ID, store.SecretRotation{
		WebhookID: webhookID, Sealed: sealed, OldEnds: time.Now().Add(overlap), Keep: keep,
	}, in.allowsWebhook)
	if err != nil {
		return nil, err
	}
	return newWebhook(w, secret)
}

func showWebhook(w store.Webhook) Webhook {
	shown := Webhook{
		ID: id.Webhook.Format(w.ID), URL: w.URL, Events: w.Events, Enabled: w.Enabled, DisabledReason: w.DisabledReason,
		DisabledAt: utc(w.DisabledAt), CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(),
	}
	if w.OldSecretEnds != nil && w.OldSecretEnds.After(time.Now()) {
		shown.OldSecretEnds = utc(w.OldSecretEnds)
	}
	return shown
}
