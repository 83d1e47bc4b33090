package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mattn/go-isatty"

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

type applyCmd struct {
	target
	Yes bool `help:"Delete what --prune finds without asking."`
}

// Run makes the changes, one after the other.
func (c applyCmd) Run(ctx context.Context) error {
	changes, api, err := c.compare(ctx)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := confirmDeletions(changes, api.seen, os.Stdin, os.Stderr, isatty.IsTerminal(os.Stdin.Fd())); err != nil {
			return err
		}
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

// confirmDeletions has a person agree to the deletions among the changes, before the first
// change is made. Without a person there is no agreement.
func confirmDeletions(changes []plan.Change, seen int, in io.Reader, out io.Writer, interactive bool) error {
	var doomed []string
	for _, change := range changes {
		if change.Action == plan.Delete {
			doomed = append(doomed, change.TenantID)
		}
	}
	if len(doomed) == 0 {
		return nil
	}
	which := fmt.Sprintf("%d of %d tenants with all their mail: %s", len(doomed), seen, strings.Join(doomed, ", "))
	if len(doomed) == seen {
		which += " (every tenant there is)"
	}
	if !interactive {
		return fmt.Errorf("--prune would delete %s; nothing was changed, say --yes to do it", which)
	}
	_, _ = fmt.Fprintf(out, "This deletes %s. Type yes to go on: ", which)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed")
	}
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
	for _, h := range have {
		if h.Status != tenant.Deleting {
			api.seen++
		}
	}
	changes, err := plan.Diff(want, have, t.Prune)
	return changes, api, err
}

// operatorAPI is the API as an operator uses it.
type operatorAPI struct {
	client *mailtura.ClientWithResponses
	seen   int // tenants that are not being deleted already
}

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
	return &operatorAPI{client: client}, nil
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
		answer, err := a.client.UpdateTenantWithBodyWithResponse(ctx, c.TenantID, nil, "application/json", encode(doc.whole()))
		if err != nil {
			return err
		}
		return read(answer.HTTPResponse, answer.Body, http.StatusOK, nil)
	case plan.Delete:
		answer, err := a.client.DeleteTenantWithResponse(ctx, c.TenantID, nil)
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
	if tracking, ok := settings["tracking"].(map[string]any); ok && d.Settings.Tracking.Domain == "" {
		tracking["domain"] = nil
	}
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
