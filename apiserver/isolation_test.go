package apiserver_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// operation is an operation of the OpenAPI document.
type operation struct {
	method, path string
	OperationID  string                `yaml:"operationId"`
	Description  string                `yaml:"description"`
	Parameters   []parameter           `yaml:"parameters"`
	RequestBody  any                   `yaml:"requestBody"`
	Security     []map[string][]string `yaml:"security"`
	Responses    map[string]any        `yaml:"responses"`
}

type parameter struct {
	Name string `yaml:"name"`
	In   string `yaml:"in"`
}

// operations are all that the document has.
func operations(t *testing.T) []operation {
	t.Helper()
	text, err := apiserver.New(apiserver.Config{}).OpenAPI()
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]operation `yaml:"paths"`
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	var all []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

// bodies has a good body for every operation that takes one.
var bodies = map[string]string{ //nolint:gochecknoglobals // a table
	"create-tenant":       `{"name":"mine","domain":"b.example"}`,
	"update-tenant":       `{"name":"mine"}`,
	"create-api-key":      `{"name":"mine"}`,
	"create-operator-key": `{"name":"mine"}`,
	"rotate-api-key":      `{}`,
	"rotate-operator-key": `{}`,
	"create-template":     `{"name":"mine","text":"mine"}`,
	"update-template":     `{"text":"mine"}`,
	"preview-template":    `{}`,
	"validate-template":   `{}`,
	"validate-draft":      `{"template":{"text":"mine"}}`,
	"test-template":       `{"to":"a@example.com"}`,
	"copy-template":       `{"tenantId":"mallory"}`,
	"preview-draft":       `{"template":{"text":"mine"}}`,
	"send-email":          `{"to":"a@example.com","subject":"mine","text":"mine"}`,
	"create-bulk-send":    `{"subject":"mine","text":"mine"}`,
	"send-email-batch":    `{"emails":[{"to":"a@example.com","subject":"mine","text":"mine"}]}`,
	"reschedule-email":    `{"scheduledAt":"2026-01-01T00:00:00Z"}`,
}

func (op operation) body(t *testing.T) any {
	t.Helper()
	body, known := bodies[op.OperationID]
	require.Equal(t, op.RequestBody != nil, known, "bodies must have one for %s", op.OperationID)
	if !known {
		return nil
	}
	return body
}

var pathParameter = regexp.MustCompile(`\{\w+\}`)

// at is the operation's path with a value in it.
func (op operation) at(value string) string {
	return pathParameter.ReplaceAllString(strings.ReplaceAll(op.path, "{version}", "1"), value)
}

// property is what a tenant has, and that which nobody has, by the path under which it is.
type property struct{ theirs, nobodys string }

func (op operation) property(t *testing.T, all map[string]property) property {
	t.Helper()
	base, _, parametric := strings.Cut(op.path, "/{")
	if !parametric {
		return property{}
	}
	require.Contains(t, all, base, "what is at %s? Tell this test", op.path)
	return all[base]
}

// Every operation, asked with one tenant's key for what another has, answers as if it were
// not there, to the letter.
func TestIsolation_EveryOperation(t *testing.T) {
	t.Parallel()
	b, victim := newAcme(t, tenant.Settings{})
	mine := b.tenant("mallory", tenant.Settings{FromEmail: "m@acme.com"})
	theirKey := b.newKey(v1+"/api-keys", victim, "theirs")
	theirEmail := b.post(victim, `{"to":"ada@example.com","subject":"theirs","text":"secret","tags":["theirs"]}`)
	theirTemplate := b.template(victim, `{"name":"theirs","text":"secret"}`)
	theirBulk := b.uploaded(victim, `{"subject":"theirs","text":"secret"}`, `{"to":"ada@example.com"}`)
	operatorKey := b.newKey(v1+"/operator-keys", b.operator, "theirs")
	b.tenant("leaving", tenant.Settings{})
	deletion := must[apiserver.TenantDeletion](b, http.StatusAccepted, http.MethodDelete, tenantsPath+"/leaving", b.operator, nil)
	all := map[string]property{
		v1 + "/api-keys":         {theirKey.ID, id.APIKey.NewString()},
		v1 + "/emails":           {theirEmail.ID, id.Email.NewString()},
		bulkPath:                 {theirBulk.ID, id.BulkSend.NewString()},
		v1 + "/templates":        {"theirs", "nobody"},
		v1 + "/tenants":          {acme, "nobody"},
		v1 + "/tenant-deletions": {deletion.ID, id.Deletion.NewString()},
		v1 + "/operator-keys":    {operatorKey.ID, id.APIKey.NewString()},
	}

	for _, op := range operations(t) {
		p, body := op.property(t, all), op.body(t)
		for _, tenantID := range []string{"", "mallory", acme} {
			if p == (property{}) && tenantID != acme {
				continue // what is the caller's own
			}
			ask := func(value, tenantID string) (int, string) {
				a := b.ask(op.method, op.at(value), mine, body, "X-Tenant-ID", tenantID, "X-Request-Id", "same")
				require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden}, a.Status, "%s: %s", op.OperationID, a.Body)
				require.Contains(t, op.Responses, map[int]string{404: "404", 403: "403"}[a.Status], "%s does not list it", op.OperationID)
				return a.Status, strings.ReplaceAll(a.Body, `\"`+value+`\"`, "(what was asked for)")
			}
			nobody := tenantID
			if tenantID == acme {
				nobody = "nobody"
			}
			status, text := ask(p.theirs, tenantID)
			wantStatus, wantText := ask(p.nobodys, nobody)
			require.Equal(t, wantStatus, status, op.OperationID)
			require.Equal(t, wantText, text, op.OperationID)
		}
	}

	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, emailsPath, theirKey.Key, nil).Status, "nothing was revoked")
	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, tenantsPath, operatorKey.Key, nil).Status)
	require.Equal(t, theirTemplate, must[apiserver.Template](b, http.StatusOK, http.MethodGet, templatesPath+"/theirs", victim, nil))
	require.Equal(t, acme, b.get().Name)
	require.Equal(t, "running", b.bulkSend(victim, theirBulk.ID).Status)
	require.Len(t, b.pending(), 1, "nothing was sent in their name")
	require.Equal(t, "queued", b.email(victim, theirEmail.ID).Status, "nor cancelled")
}

// Lists and counts have nothing of another tenant, whatever they are asked.
func TestIsolation_ListsAreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b, victim := newAcme(t, tenant.Settings{})
	mine := b.tenant("mallory", tenant.Settings{})
	for range 3 {
		b.post(victim, `{"to":"ada@example.com","subject":"secret","text":"secret","tags":["secret"]}`)
	}
	b.template(victim, `{"name":"secret","text":"secret"}`)
	b.newKey(v1+"/api-keys", victim, "secret")
	cursor := must[page[apiserver.Email]](b, http.StatusOK, http.MethodGet, emailsPath+"?limit=1", victim, nil).NextCursor
	for _, path := range []string{
		emailsPath, emailsPath + "?tag=secret", emailsPath + "?recipient=ada@example.com", emailsPath + "?status=queued",
		emailsPath + "?after=" + *cursor, templatesPath, v1 + "/api-keys", v1 + "/usage",
	} {
		a := b.ask(http.MethodGet, path, mine, nil)
		require.Equal(t, http.StatusOK, a.Status, path)
		require.NotContains(t, a.Body, "secret", path)
		require.NotContains(t, a.Body, "ada@", path)
		require.NotContains(t, a.Body, "msg_", path)
	}
	require.Equal(t, []string{"body.template template_not_found"},
		b.ask(http.MethodPost, emailsPath, mine, `{"to":"a@example.com","from":"a@acme.com","template":"secret"}`).fields(422, "validation_failed"))
}

func TestAuth_EveryOperationNeedsAKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, op := range operations(t) {
		require.Len(t, op.Security, 1, op.OperationID)
		require.Len(t, op.Security[0]["key"], 1, op.OperationID)
		require.Contains(t, op.Responses, "401", op.OperationID)
		b.ask(op.method, op.at("x"), "", op.body(t)).problem(http.StatusUnauthorized, "key_required")
		b.ask(op.method, op.at("x"), "", `not { JSON`).problem(http.StatusUnauthorized, "key_required")
		b.ask(op.method, op.at("x"), "sesame", op.body(t)).problem(http.StatusUnauthorized, "invalid_key")
	}
}

// An operator key reaches a tenant's operations only by naming the tenant, which the
// document says for each of them.
func TestAuth_TenantHeaderIsDocumented(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, op := range operations(t) {
		documented := false
		for _, p := range op.Parameters {
			documented = documented || (p.In == "header" && p.Name == "X-Tenant-ID")
		}
		a := b.ask(op.method, op.at("nobody"), key, op.body(t))
		if !documented {
			a.problem(http.StatusForbidden, "operator_required")
			continue
		}
		require.Equal(t, op.OperationID == "copy-template", a.Status == http.StatusForbidden, op.OperationID)
		b.ask(op.method, op.at("nobody"), b.operator, op.body(t)).problem(http.StatusBadRequest, "tenant_required")
	}
}
