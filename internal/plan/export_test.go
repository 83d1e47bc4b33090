package plan_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestExport(t *testing.T) {
	t.Parallel()
	b := wanted("b", "The B", "b.example", tenant.Settings{FromName: "B: ${x}", DailyLimit: ptr(0), Weight: ptr(2)})
	b.Sections[plan.KindTemplate] = []plan.Resource{plan.FromTemplate("b", "w", plan.TemplateContent{
		Subject: "Hi", HTML: "<p>\n  {{x}}\n</p>\n", Variables: map[string]any{"type": "object", "minProperties": 1.0},
	})}
	b.Sections[plan.KindAPIKey] = []plan.Resource{plan.FromAPIKey("b", "key_1", "k", plan.KeyContent{Scopes: []apikey.Scope{apikey.EmailsSend}})}
	gone := wanted("gone", "gone", "gone.example", tenant.Settings{})
	gone.Deleting = true
	text, err := plan.Export([]plan.Tenant{b, gone, wanted("a", "a", "a.example", tenant.Settings{})})
	require.NoError(t, err)
	require.Equal(t, `tenants:
  - id: a
    domain: a.example
  - id: b
    name: The B
    domain: b.example
    fromName: "B: $${x}"
    weight: 2
    quotas:
      dailyLimit: 0
    templates:
      - name: w
        subject: Hi
        html: |
          <p>
            {{x}}
          </p>
        variables:
          minProperties: 1
          type: object
    apiKeys:
      - name: k
        scopes:
          - emails:send
`, string(text))
	empty, err := plan.Export(nil)
	require.NoError(t, err)
	require.Equal(t, "tenants: []\n", string(empty))
}

// texts are texts that YAML could take for something else.
func texts() *rapid.Generator[string] {
	parts := rapid.SampledFrom([]string{
		" ", "\n", "\t", "a", "é", "😀", ":", "#", "-", "'", `"`, "|", ">", "&", "*", "!", "%", "@", "`", "{", "}", "[", "]", ",", "?", "${", "$", "${A}", "~",
		"null", "true", "1", "0x1", "1.5", "\\", "---", "...", "\r", "\u0085", "\u2028", "\ufeff", "<<", "=", "yes", "2020-01-01", "\x1b",
	})
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(parts, 1, 8).Draw(t, "parts"), "") })
}

func jsonValues(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
		case kind == 0:
			return nil
		case kind == 1:
			return rapid.Bool().Draw(t, "bool")
		case kind == 2:
			return rapid.Float64().Draw(t, "number")
		case kind == 3 && depth > 0:
			return rapid.SliceOfN(jsonValues(depth-1), 0, 3).Draw(t, "list")
		case kind == 4 && depth > 0:
			return rapid.MapOfN(texts(), jsonValues(depth-1), 0, 3).Draw(t, "object")
		case kind == 5 && depth > 0:
			return rapid.MapOfN(rapid.StringMatching(`[a-z$]{2,6}`), jsonValues(depth-1), 0, 3).Draw(t, "plain object")
		}
		return texts().Draw(t, "text")
	})
}

func limits(most int) *rapid.Generator[*int] {
	return rapid.Ptr(rapid.IntRange(1, most), true)
}

func settings() *rapid.Generator[tenant.Settings] {
	return rapid.Custom(func(t *rapid.T) tenant.Settings {
		pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
		return tenant.Settings{
			FromEmail: pick("fromEmail", "", "a@a.example", "1e3@a.example"), ReplyTo: pick("replyTo", "", "b@b.example", `"x: y" <b@b.example>`),
			FromName:   strings.NewReplacer("\n", "", "\r", "", "\t", "", "\x1b", "", "\u0085", "").Replace(texts().Draw(t, "fromName")),
			DailyLimit: limits(1_000_000_000).Draw(t, "dailyLimit"), RateLimit: limits(1_000_000).Draw(t, "rateLimit"),
			RateLimitPer: pick("per", "", "second", "minute", "hour"), Burst: limits(1_000_000).Draw(t, "burst"),
			OverLimit: pick("over", "", tenant.Reject, tenant.Queue), Timezone: pick("zone", "", "UTC", "Europe/Berlin"),
			OnUnknownOutcome: pick("unknown", "", tenant.Resend, tenant.Hold), Weight: limits(1000).Draw(t, "weight"),
		}
	})
}

func tenants() *rapid.Generator[tenant.Tenant] {
	return rapid.Custom(func(t *rapid.T) tenant.Tenant {
		one := tenant.Tenant{ID: rapid.SampledFrom([]string{"a", "1", "0x1f", "null", "true", "1e3"}).Draw(t, "id"), Domain: "a.example"}
		one.Name = strings.NewReplacer("\n", "", "\r", "").Replace(texts().Draw(t, "name"))
		one.Settings = settings().Draw(t, "settings").WithDefaults()
		return one
	}).Filter(func(one tenant.Tenant) bool { return one.Validate() == nil })
}

// Whatever there is: in its export, Diff finds no difference.
func TestExport_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one := tenants().Draw(t, "tenant")
		have := plan.FromTenant(one)
		c := plan.TemplateContent{Subject: texts().Draw(t, "subject"), HTML: texts().Draw(t, "html"), Text: texts().Draw(t, "text")}
		c.Variables = rapid.MapOfN(texts(), jsonValues(2), 0, 3).Draw(t, "variables")
		have.Sections[plan.KindTemplate] = []plan.Resource{plan.FromTemplate(one.ID, "1.5", c)}
		end := time.Unix(rapid.Int64Range(2e9, 4e9).Draw(t, "end"), 123456789)
		scopes := rapid.SliceOfNDistinct(rapid.SampledFrom(apikey.Scopes(apikey.Tenant)), 1, -1, rapid.ID).Draw(t, "scopes")
		have.Sections[plan.KindAPIKey] = []plan.Resource{plan.FromAPIKey(one.ID, "key_1", "k", plan.KeyContent{Scopes: scopes, ExpiresAt: &end})}
		events := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"*", "email.*", "email.sent", "quota.*"}), 1, -1, rapid.ID).Draw(t, "events")
		have.Sections[plan.KindWebhook] = []plan.Resource{plan.FromWebhook(one.ID, "whk_1", "https://a.bc/?x=$${y}&z=1:2",
			plan.WebhookContent{Events: events, Enabled: rapid.Bool().Draw(t, "enabled")})}
		have.Sections[plan.KindDomain] = []plan.Resource{plan.FromDomain(one.ID, "mail.a.example"), plan.FromDomain(one.ID, "1.example")}
		text, err := plan.Export([]plan.Tenant{have})
		require.NoError(t, err)
		want, err := parse(string(text))
		require.NoError(t, err, string(text))
		require.Empty(t, plan.Diff(want, []plan.Tenant{have}, true), string(text))
		require.Empty(t, plan.Notes(want, []plan.Tenant{have}), string(text))
	})
}

// A setting that the API has and the file has not would be one that an export loses.
func TestFile_HasEverySetting(t *testing.T) {
	t.Parallel()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[tenant.Settings]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		value := map[reflect.Kind]string{reflect.String: "{}", reflect.Pointer: "{}", reflect.Struct: "5", reflect.Slice: "5"}[field.Type.Kind()]
		require.NotEmpty(t, value, name)
		line := name + ": " + value
		if plan.IsQuota(name) {
			line = "quotas: {" + line + "}"
		}
		_, err := parse("tenants: [{id: a, domain: a.bc, " + line + "}]")
		require.ErrorContains(t, err, name+": must be", "it is known, and this is not its type")
	}
}

func TestPrintJSON(t *testing.T) {
	t.Parallel()
	want := wanted("a", "A <&>", "a.bc", tenant.Settings{DailyLimit: ptr(5)})
	var out strings.Builder
	require.NoError(t, plan.PrintJSON(&out, plan.Diff([]plan.Tenant{want}, []plan.Tenant{wanted("a", "a", "a.bc", tenant.Settings{}), wanted("b", "b", "b.bc", tenant.Settings{})}, true)))
	require.True(t, json.Valid([]byte(out.String())))
	require.JSONEq(t, `{"changes": [
		{"action": "update", "kind": "tenant", "tenantId": "a", "fields": [
			{"name": "dailyLimit", "now": null, "new": 5}, {"name": "name", "now": "a", "new": "A <&>"}]},
		{"action": "delete", "kind": "tenant", "tenantId": "b", "fields": []}]}`, out.String())
	out.Reset()
	require.NoError(t, plan.PrintJSON(&out, nil))
	require.JSONEq(t, `{"changes": []}`, out.String())
}
