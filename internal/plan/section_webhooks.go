package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/webhook"
)

// Webhook is an endpoint that has to be called for what happens to a tenant. It is known by its
// URL, since the API gives it no name. Its secret is only for the one that is made: the API does
// not tell what the secret of one that is there is.
type Webhook struct {
	URL        string   `json:"url" doc:"What is called, and what the webhook is known by" minLength:"1" maxLength:"2000" example:"https://app.acme.com/hooks/mail"`
	Events     []string `json:"events" doc:"Types of events, groups of them such as email.*, or *" minItems:"1" maxItems:"50" example:"[\"email.bounced\",\"quota.*\"]"`
	Enabled    *bool    `json:"enabled,omitempty" doc:"Whether it is called; default: true"`
	Secret     string   `json:"secret,omitempty" doc:"What its calls are signed with, when it is made: whsec_ and 24 to 64 bytes in base64, from the environment" pattern:"\\$\\{[A-Za-z_]" example:"${ACME_WEBHOOK_SECRET}"`
	SecretFile string   `json:"secretFile,omitempty" doc:"A file with the secret, relative to this file. When the webhook is made and there is no such file, it is written with a new secret, for its owner only" example:"secrets/acme-corp.whsec"`
}

// WebhookContent is what of a webhook is compared.
type WebhookContent struct {
	Events  []string `json:"events"`
	Enabled bool     `json:"enabled"`
}

// FromWebhook is a webhook as the installation has it. The order of its events means nothing.
func FromWebhook(tenantID, id, url string, c WebhookContent) Resource {
	c.Events = slices.Sorted(slices.Values(c.Events))
	return Resource{Kind: KindWebhook, TenantID: tenantID, Name: url, ID: id, Fields: fieldsOf(c)}
}

func webhooksSection() section {
	return section{
		kind: KindWebhook, label: "webhook", key: "webhooks", named: "url", fields: []string{"events", "enabled"},
		preset: map[string]any{"enabled": true},
		has:    func(e Entry) bool { return e.Webhooks != nil },
		read: func(r *reader, tenantID string, e Entry, at string) []Resource {
			return r.webhooks(tenantID, e.Webhooks, at)
		},
	}
}

func (p *reader) webhooks(tenantID string, entries []Webhook, at string) []Resource {
	out := make([]Resource, len(entries))
	for i, e := range entries {
		here := fmt.Sprintf("%s[%d]", at, i)
		p.checkWebhook(tenantID, e, here)
		out[i] = FromWebhook(tenantID, "", e.URL, WebhookContent{Events: e.Events, Enabled: e.Enabled == nil || *e.Enabled})
		out[i].Secret = p.webhookSecret(e, here)
		out[i].SecretFile = e.SecretFile
		out[i].References = p.referencesBelow(here)
		out[i].Shown = out[i].References["url"]
	}
	return out
}

// checkWebhook does not know whether the installation calls its own machine, which one for
// development does: that is left to the API.
func (p *reader) checkWebhook(tenantID string, e Webhook, at string) {
	wrong := webhook.CheckURL(e.URL, true)
	switch {
	case p.blamed(at) || p.blamed(at+".url"):
	case e.URL == "":
		p.problem(at, "a webhook has a url")
	case wrong != "":
		p.problem(at+".url", wrong)
	default:
		p.once(at+".url", "webhook", tenantID+"/"+e.URL)
	}
	if n := len(e.Events); (n == 0 || n > 50) && !p.blamedBelow(at) {
		p.problem(at+".events", "a webhook has 1 to 50 events")
	}
	for i, pattern := range e.Events {
		here := fmt.Sprintf("%s.events[%d]", at, i)
		switch {
		case p.blamed(here):
		case !event.Matches(pattern):
			p.problem(here, "is no type of events, no group of them such as email.*, and not *")
		case slices.Contains(e.Events[:i], pattern):
			p.problem(here, "is there already")
		}
	}
}

// webhookSecret reads the secret. No message shows it.
func (p *reader) webhookSecret(e Webhook, at string) webhook.Secret {
	here := at + ".secret"
	if e.Secret == "" || p.blamed(here) {
		return nil
	}
	secret, err := webhook.ParseSecret(strings.TrimSpace(e.Secret))
	switch {
	case p.references[here] == "":
		p.problem(here, "a secret does not stand in the file; it comes from the environment, as ${NAME}")
	case e.SecretFile != "":
		p.problem(here, "a webhook has either secret or secretFile")
	case err != nil:
		p.problem(here, err.Error())
	}
	return secret
}
