package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

// differs is the exit code of a plan that is not empty.
const differs = exitCode(2)

// target is a configuration file and the installation to compare it with.
type target struct {
	File  string `short:"f" required:"" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML)."`
	Prune bool   `help:"Delete tenants that are not in the file."`
	URL   string `name:"url" env:"MAILTURA_URL" default:"http://127.0.0.1:8080" help:"Address of the API."`
	Key   string `name:"key" env:"MAILTURA_OPERATOR_KEY" required:"" placeholder:"mt_op_…" help:"Operator key."`
}

type planCmd struct{ target }

// Run prints what would change, and ends with 2 when there is something.
func (c planCmd) Run(ctx context.Context) error {
	changes, _, err := c.compare(ctx)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Println("Nothing to change.")
		return nil
	}
	if err := plan.Print(os.Stdout, changes); err != nil {
		return err
	}
	return differs
}

type applyCmd struct{ target }

// Run makes the changes, one after the other.
func (c applyCmd) Run(ctx context.Context) error {
	changes, api, err := c.compare(ctx)
	if err != nil {
		return err
	}
	for i, change := range changes {
		if err := plan.Print(os.Stdout, changes[i:i+1]); err != nil {
			return err
		}
		if err := api.make(ctx, change); err != nil {
			return fmt.Errorf("%s tenant %s: %w", change.Action, change.TenantID, err)
		}
	}
	fmt.Printf("%d of %d changes made.\n", len(changes), len(changes))
	return nil
}

// compare reads the file and says what has to change.
func (t target) compare(ctx context.Context) ([]plan.Change, *operatorAPI, error) {
	text, err := os.ReadFile(t.File)
	if err != nil {
		return nil, nil, err
	}
	want, err := plan.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.File, err)
	}
	api, err := newOperatorAPI(t.URL, t.Key)
	if err != nil {
		return nil, nil, err
	}
	have, err := api.tenants(ctx)
	if err != nil {
		return nil, nil, err
	}
	changes, err := plan.Diff(want, have, t.Prune)
	return changes, api, err
}

// operatorAPI is the API as an operator uses it.
type operatorAPI struct{ client *mailtura.ClientWithResponses }

func newOperatorAPI(address, key string) (*operatorAPI, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, errors.New("read --url: it is not of the form http://host[:port]")
	}
	client, err := mailtura.NewClientWithResponses(address, mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("read --url: %w", err)
	}
	return &operatorAPI{client}, nil
}

// tenants gives all tenants that there are.
func (a *operatorAPI) tenants(ctx context.Context) ([]tenant.Tenant, error) {
	var all []tenant.Tenant
	limit := int64(200)
	params := &mailtura.ListTenantsParams{Limit: &limit}
	for {
		answer, err := a.client.ListTenantsWithResponse(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		var list struct {
			Items      []tenantDocument
			NextCursor *string
		}
		if err := read(answer.HTTPResponse, answer.Body, http.StatusOK, &list); err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		for _, t := range list.Items {
			all = append(all, tenant.Tenant{ID: t.ID, Name: t.Name, Domain: t.Domain, Status: tenant.Status(t.Status), Settings: t.Settings})
		}
		if list.NextCursor == nil {
			return all, nil
		}
		params.After = list.NextCursor
	}
}

// tenantDocument is a tenant as the API reads and shows it. Settings that are absent are
// written as null, which takes them back to their defaults.
type tenantDocument struct {
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name"`
	Domain   string          `json:"domain"`
	Status   string          `json:"status,omitempty"`
	Settings tenant.Settings `json:"settings"`
}

func (a *operatorAPI) make(ctx context.Context, c plan.Change) error {
	doc := tenantDocument{ID: c.TenantID, Name: c.Want.Name, Domain: c.Want.Domain, Settings: c.Want.Settings}
	switch c.Action {
	case plan.Create:
		answer, err := a.client.CreateTenantWithBodyWithResponse(ctx, nil, "application/json", encode(doc))
		if err != nil {
			return err
		}
		return read(answer.HTTPResponse, answer.Body, http.StatusCreated, nil)
	case plan.Update:
		doc.ID = ""
		answer, err := a.client.UpdateTenantWithBodyWithResponse(ctx, c.TenantID, "application/json", encode(doc.whole()))
		if err != nil {
			return err
		}
		return read(answer.HTTPResponse, answer.Body, http.StatusOK, nil)
	case plan.Delete:
		answer, err := a.client.DeleteTenantWithResponse(ctx, c.TenantID)
		if err != nil {
			return err
		}
		return read(answer.HTTPResponse, answer.Body, http.StatusAccepted, nil)
	}
	return nil
}

// whole is the document with every setting, so that as a merge patch it also takes away.
func (d tenantDocument) whole() map[string]any {
	settings := map[string]any{
		"fromEmail": nil, "fromName": nil, "replyTo": nil, "rateLimitPer": nil, "timezone": nil, "onUnknownOutcome": nil,
	}
	raw, _ := json.Marshal(d.Settings) // plain values
	_ = json.Unmarshal(raw, &settings) // from the line before
	return map[string]any{"name": d.Name, "domain": d.Domain, "settings": settings}
}

func encode(v any) io.Reader {
	raw, _ := json.Marshal(v) // plain values
	return bytes.NewReader(raw)
}

// read takes an answer, or makes an error of the problem that it has instead.
func read(response *http.Response, body []byte, status int, into any) error {
	if response.StatusCode == status {
		if into == nil {
			return nil
		}
		return json.Unmarshal(body, into)
	}
	var problem mailtura.Problem
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code == "" {
		return fmt.Errorf("the API answered %s", response.Status)
	}
	text := problem.Code + ": " + problem.Detail
	if problem.Errors != nil {
		for _, e := range *problem.Errors {
			text += "\n  " + e.Location + ": " + e.Message
		}
	}
	return fmt.Errorf("%s", text)
}
