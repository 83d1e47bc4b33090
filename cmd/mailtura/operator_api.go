package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/plan"
)

// operatorAPI is the API as an operator uses it for a configuration file.
type operatorAPI struct {
	base, key string
	note      string // for the audit log
	client    *http.Client
}

func newOperatorAPI(address, key, note string) (*operatorAPI, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("read --url: it is not of the form http://host[:port]")
	}
	base := strings.TrimSuffix(address, "/") + "/api/v1"
	return &operatorAPI{base, key, strings.Trim(strconv.QuoteToASCII(note), `"`), &http.Client{Timeout: time.Minute}}, nil
}

// section is how the API has one kind of resource.
type section struct {
	list func(ctx context.Context, tenantID string) ([]plan.Resource, error) // nil: of tenants, see tenants
	make func(ctx context.Context, c plan.Change) error
}

func (a *operatorAPI) sections() map[plan.Kind]section {
	return map[plan.Kind]section{
		plan.KindTenant:   {make: a.makeTenant},
		plan.KindTemplate: {list: a.templates, make: a.makeTemplate},
		plan.KindAPIKey:   {list: a.apiKeys, make: a.revokeKey},
		plan.KindWebhook:  {list: a.webhooks, make: a.changeWebhook},
		plan.KindDomain:   {list: a.domains, make: a.makeDomain},
	}
}

// compare says what has to change, and what there is now.
func (a *operatorAPI) compare(ctx context.Context, want []plan.Tenant, prune bool) ([]plan.Change, []plan.Tenant, error) {
	have, err := a.tenants(ctx)
	if err != nil {
		return nil, nil, err
	}
	wanted := make(map[string]plan.Tenant, len(want))
	for _, w := range want {
		wanted[w.TenantID] = w
	}
	for _, h := range have {
		w, ok := wanted[h.TenantID]
		switch {
		case !ok:
		case h.Deleting:
			return nil, nil, fmt.Errorf("tenant %s is being deleted; when that has ended, it can be made anew", h.TenantID)
		default:
			if err := a.load(ctx, h, slices.Collect(maps.Keys(w.Sections))); err != nil {
				return nil, nil, err
			}
		}
	}
	return plan.Diff(want, have, prune), have, nil
}

// load fetches sections of a tenant.
func (a *operatorAPI) load(ctx context.Context, t plan.Tenant, kinds []plan.Kind) error {
	for _, kind := range kinds {
		list, err := a.sections()[kind].list(ctx, t.TenantID)
		if err != nil {
			return fmt.Errorf("list each %s of %s: %w", kind, t.TenantID, err)
		}
		t.Sections[kind] = list
	}
	return nil
}

// errMovedOn says that something is not any more as it was when a change was planned.
var errMovedOn = errors.New("it was changed meanwhile")

// errKeyReused says that an Idempotency-Key was used for something else: others were at it.
var errKeyReused = fmt.Errorf("%w: the idempotency key is used", errMovedOn)

// request is a request of the API.
type request struct {
	method, path, tenantID string
	header                 map[string]string
	body                   any
}

// do makes a request, and reads its answer, or makes an error of the problem that it has instead.
func (a *operatorAPI) do(ctx context.Context, r request, into any) (etag string, err error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, a.base+r.path, body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("X-Audit-Note", a.note)
	req.Header.Set("Content-Type", "application/json")
	if r.tenantID != "" {
		req.Header.Set("X-Tenant-ID", r.tenantID)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	answer, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // was only read
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode/100 != 2 {
		return "", problem(answer.Status, raw)
	}
	if into == nil {
		return "", nil
	}
	return answer.Header.Get("ETag"), json.Unmarshal(raw, into)
}

// problem is the error that a problem document says.
func problem(status string, body []byte) error {
	var p mailtura.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return fmt.Errorf("the API answered %s", status)
	}
	text := p.Code + ": " + p.Detail
	if p.Errors != nil {
		for _, e := range *p.Errors {
			text += "\n  " + e.Location + ": " + e.Message
		}
	}
	switch p.Code {
	case "precondition_failed", "tenant_exists", "tenant_not_found", "tenant_deleting",
		"template_exists", "template_not_found", "key_not_found", "webhook_not_found", "domain_exists", "domain_not_found",
		"idempotency_key_in_progress":
		return fmt.Errorf("%w: %s", errMovedOn, text)
	case "idempotency_key_reused":
		return fmt.Errorf("%w: %s", errKeyReused, text)
	}
	return errors.New(text)
}

// pages calls a list until its end.
func pages[T any](ctx context.Context, a *operatorAPI, path, tenantID string, each func(T)) error {
	for after := ""; ; {
		var list struct {
			Items      []T
			NextCursor *string
		}
		query := url.Values{"limit": {"200"}}
		if after != "" {
			query.Set("after", after)
		}
		if _, err := a.do(ctx, request{method: http.MethodGet, path: path + "?" + query.Encode(), tenantID: tenantID}, &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			each(item)
		}
		if list.NextCursor == nil {
			return nil
		}
		after = *list.NextCursor
	}
}

// unchanged gives the ETag of a resource that is still as it was when a change was planned.
func unchanged[T any](ctx context.Context, a *operatorAPI, path string, have plan.Resource, show func(T) plan.Resource) (string, error) {
	tenantID := have.TenantID
	if have.Kind == plan.KindTenant {
		tenantID = ""
	}
	var now T
	etag, err := a.do(ctx, request{method: http.MethodGet, path: path, tenantID: tenantID}, &now)
	if err != nil {
		return "", err
	}
	if shown := show(now); shown.Name != have.Name || len(plan.Differences(shown.Fields, have)) > 0 {
		return "", errMovedOn
	}
	return etag, nil
}
