package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/webhook"
)

// webhookDocument is a webhook as the API shows it.
type webhookDocument struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	plan.WebhookContent
}

func (d webhookDocument) of(tenantID string) plan.Resource {
	return plan.FromWebhook(tenantID, d.ID, d.URL, d.WebhookContent)
}

// webhooks gives the webhooks, the oldest first: of several with one URL, the file speaks of that.
func (a *operatorAPI) webhooks(ctx context.Context, tenantID string) (all []plan.Resource, err error) {
	err = pages(ctx, a, "/webhooks", tenantID, func(d webhookDocument) { all = append(all, d.of(tenantID)) })
	slices.Reverse(all)
	return all, err
}

// changeWebhook changes or deletes a webhook.
func (a *operatorAPI) changeWebhook(ctx context.Context, c plan.Change) error {
	path := "/webhooks/" + c.Have.ID
	etag, err := unchanged(ctx, a, path, c.Have, func(d webhookDocument) plan.Resource { return d.of(c.TenantID) })
	if err != nil {
		return err
	}
	r := request{method: http.MethodDelete, path: path, tenantID: c.TenantID, header: map[string]string{"If-Match": etag}}
	if c.Action == plan.Update {
		r.method, r.body = http.MethodPatch, c.Want.Fields
	}
	_, err = a.do(ctx, r, nil)
	return err
}

// createWebhook makes a webhook with a secret, or with one that the API makes. Two who do it at
// the same time make one webhook, since both have the same Idempotency-Key. Where that was used
// for a webhook that is gone again, the next of a row of them is tried.
func (a *operatorAPI) createWebhook(ctx context.Context, c plan.Change, secret webhook.Secret) (madeWith string, err error) {
	body := maps.Clone(c.Want.Fields)
	body["url"] = c.Name
	if secret != nil {
		body["secret"] = secret.Text()
	}
	for n := range 100 { // how often one can be made and deleted within a day
		if err := a.noWebhook(ctx, c); err != nil {
			return "", err
		}
		var made struct {
			webhookDocument
			Secret string `json:"secret"`
		}
		_, err := a.do(ctx, request{
			method: http.MethodPost, path: "/webhooks", tenantID: c.TenantID, body: body,
			header: map[string]string{"Idempotency-Key": "configuration-" + digest([]string{"webhook", c.TenantID, c.Name, strconv.Itoa(n)})},
		}, &made)
		if errors.Is(err, errKeyReused) {
			continue
		}
		if err != nil {
			return "", err
		}
		switch err := a.stillThere(ctx, made.webhookDocument, c); {
		case err == nil:
			return made.Secret, nil
		case !errors.Is(err, errMovedOn):
			return "", err
		}
	}
	return "", errors.New("it was made and deleted too often today")
}

// noWebhook is errMovedOn where there is a webhook with the URL.
func (a *operatorAPI) noWebhook(ctx context.Context, c plan.Change) error {
	all, err := a.webhooks(ctx, c.TenantID)
	if err == nil && slices.ContainsFunc(all, func(r plan.Resource) bool { return r.Name == c.Name }) {
		err = errMovedOn
	}
	return err
}

// stillThere is errMovedOn where the webhook of an answer, which may be one from before, is not
// there any more.
func (a *operatorAPI) stillThere(ctx context.Context, made webhookDocument, c plan.Change) error {
	_, err := unchanged(ctx, a, "/webhooks/"+made.ID, made.of(c.TenantID), func(d webhookDocument) plan.Resource { return d.of(c.TenantID) })
	return err
}

// makeWebhook sees to it that the secret of a webhook is kept before there is a webhook.
func (a *applier) makeWebhook(ctx context.Context, c plan.Change) error {
	secret := c.Want.Secret
	if secret == nil && c.SecretFile == "" && a.show == nil {
		return errors.New("without a terminal to show the secret on, it needs a secret or a secretFile")
	}
	undo := func() {}
	if c.SecretFile != "" {
		var err error
		if secret, undo, err = webhookSecretIn(c.SecretFile); err != nil {
			return err
		}
	}
	made, err := a.api.createWebhook(ctx, c, secret)
	if err != nil {
		if errors.Is(err, errMovedOn) {
			undo() // another has made it, with another secret
		}
		return err
	}
	if err := plan.Print(a.out, []plan.Change{c}); err != nil {
		return err
	}
	if secret == nil {
		if err := a.show("secret of "+c.Title(), made); err != nil {
			return fmt.Errorf("the webhook is made, but its secret was not shown (rotate it): %w", err)
		}
	}
	return nil
}
