package apiserver_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

var pathParameter = regexp.MustCompile(`\{\w+\}`)

// at is the operation's path with a value in it.
func (op operation) at(value string) string {
	if op.OperationID == "stream-events" {
		return op.path + "?type=none" // is refused, where the answer would have no end
	}
	return pathParameter.ReplaceAllString(strings.ReplaceAll(op.path, "{version}", "1"), value)
}

// property is what a tenant has, and that which nobody has, by the path under which it is.
type property struct{ theirs, nobodys string }

// belongings has what is asked for by its path: what was made for the test, and otherwise what a POST to the path before
// the parameter makes of a good body.
type belongings struct {
	*bundle
	owner string // key
	made  map[string]property
}

func (b *belongings) of(op operation, all []operation) property {
	b.t.Helper()
	base, rest, parametric := strings.Cut(op.path, "/{")
	if !parametric {
		return property{}
	}
	if p, ok := b.made[base]; ok {
		return p
	}
	i := slices.IndexFunc(all, func(o operation) bool { return o.method == http.MethodPost && o.path == base })
	require.GreaterOrEqual(b.t, i, 0, "what is at %s? Tell this test", op.path)
	by := b.operator
	if all[i].ofTenants() {
		by = b.owner
	}
	a := b.ask(http.MethodPost, base, by, all[i].body(b.t), "Content-Type", all[i].mediaType())
	require.Less(b.t, a.Status, 300, "%s needs another body: %s", all[i].OperationID, a.Body)
	var created map[string]any
	require.NoError(b.t, json.Unmarshal([]byte(a.Body), &created))
	name, _, _ := strings.Cut(rest, "}")
	value, ok := created[name].(string)
	require.True(b.t, ok, "what %s made has no %s: %s", all[i].OperationID, name, a.Body)
	p := property{value, "nobody"}
	if kind, suffix, typed := strings.Cut(value, "_"); typed && len(suffix) == 26 {
		p.nobodys = id.Kind(kind).NewString()
	}
	b.made[base] = p
	return p
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
	theirWebhook := b.webhook(victim, `{"url":"https://acme.com/hook","events":["*"]}`)
	operatorKey := b.newKey(v1+"/operator-keys", b.operator, "theirs")
	b.tenant("leaving", tenant.Settings{})
	deletion := must[apiserver.TenantDeletion](b, http.StatusAccepted, http.MethodDelete, tenantsPath+"/leaving", b.operator, nil)
	theirs := &belongings{b, victim, map[string]property{
		v1 + "/api-keys":         {theirKey.ID, id.APIKey.NewString()},
		v1 + "/emails":           {theirEmail.ID, id.Email.NewString()},
		bulkPath:                 {theirBulk.ID, id.BulkSend.NewString()},
		v1 + "/templates":        {"theirs", "nobody"},
		webhooksPath:             {theirWebhook.ID, id.Webhook.NewString()},
		v1 + "/tenants":          {acme, "nobody"},
		v1 + "/tenant-deletions": {deletion.ID, id.Deletion.NewString()},
		v1 + "/operator-keys":    {operatorKey.ID, id.APIKey.NewString()},
	}}

	all := operations(t)
	for _, op := range all {
		p, body := theirs.of(op, all), op.body(t)
		for _, tenantID := range []string{"", "mallory", acme} {
			if p == (property{}) && tenantID != acme {
				continue // what is the caller's own
			}
			ask := func(value, tenantID string) (int, string) {
				headers := []string{"X-Tenant-ID", tenantID, "X-Request-Id", "same"}
				if body != nil {
					headers = append(headers, "Content-Type", op.mediaType())
				}
				a := b.ask(op.method, op.at(value), mine, body, headers...)
				require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden}, a.Status, "%s: %s", op.OperationID, a.Body)
				readDocument(t).check(t, op, a)
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
	require.Equal(t, theirWebhook.Webhook, must[apiserver.Webhook](b, http.StatusOK, http.MethodGet, webhooksPath+"/"+theirWebhook.ID, victim, nil))
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
