package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func parseHooks(text string) ([]plan.Tenant, error) {
	src := source()
	env := map[string]string{"HOOK": "https://hooks.example/T0/verysecret", "WHSEC": hookSecret, "BAD": "hunter2"}
	src.Env = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	return plan.Parse([]byte(text), src)
}

const hooked = "tenants:\n  - id: a\n    domain: a.bc\n    webhooks:\n"

func TestParse_Webhooks(t *testing.T) {
	t.Parallel()
	tenants, err := parseHooks(hooked + `
      - url: https://app.a.bc/hook
        events: [quota.*, email.sent]
        secret: ${WHSEC}
      - {url: "${HOOK}", events: [email.sent], enabled: false, secretFile: a.whsec}
`)
	require.NoError(t, err)
	hooks := tenants[0].Sections[plan.KindWebhook]
	require.Len(t, hooks, 2)
	require.Equal(t, "https://app.a.bc/hook", hooks[0].Name)
	require.Equal(t, map[string]any{"events": []any{"email.sent", "quota.*"}, "enabled": true}, hooks[0].Fields, "in no order that means something")
	require.Equal(t, hookSecret, hooks[0].Secret.Text())
	require.Equal(t, "https://hooks.example/T0/verysecret", hooks[1].Name)
	require.Equal(t, false, hooks[1].Fields["enabled"])
	require.Equal(t, "a.whsec", hooks[1].SecretFile)
	require.Nil(t, hooks[1].Secret)

	// Neither a secret nor a URL from the environment is shown, whatever happens to the webhook.
	for _, have := range [][]plan.Resource{nil, {
		plan.FromWebhook("a", "whk_1", "https://app.a.bc/hook", plan.WebhookContent{Events: []string{"*"}, Enabled: true}),
		plan.FromWebhook("a", "whk_2", "https://hooks.example/T0/verysecret", plan.WebhookContent{Events: []string{"*"}}),
		plan.FromWebhook("a", "whk_3", "https://app.a.bc/old", plan.WebhookContent{Events: []string{"*"}}),
	}} {
		there := wanted("a", "a", "a.bc", tenant.Settings{})
		there.Sections[plan.KindWebhook] = have
		changes := plan.Diff(tenants, []plan.Tenant{there}, true)
		var shown strings.Builder
		require.NoError(t, plan.PrintJSON(&shown, changes))
		text := printed(t, changes)
		require.NotContains(t, text+shown.String()+fmt.Sprintf("%v %+v", changes, changes[0].Want.Secret), hookSecret[6:])
		require.NotContains(t, text+shown.String(), "verysecret")
		require.Contains(t, shown.String(), `"name": "${HOOK}"`)
		if have == nil {
			require.Equal(t, "+ webhook a/https://app.a.bc/hook: create\n+ webhook a/${HOOK}: create\n", text)
			continue
		}
		require.Equal(t, "~ webhook a/https://app.a.bc/hook: update\n    events: [\"*\"] -> [\"email.sent\",\"quota.*\"]\n"+
			"~ webhook a/${HOOK}: update\n    events: [\"*\"] -> [\"email.sent\"]\n- webhook a/https://app.a.bc/old: delete\n", text)
		require.Equal(t, "whk_1", changes[0].Have.ID)
	}
}

func TestParse_SaysWhatIsWrongWithAWebhook(t *testing.T) {
	t.Parallel()
	const hook = hooked + "      - url: https://a.bc/\n        events: [email.sent]\n        "
	for text, want := range map[string]string{
		hooked + "      - events: [email.sent]\n":                              "[5:9] webhooks[0]: a webhook has a url",
		hooked + "      - {url: \"http://a.bc\", events: [email.sent]}\n":      "[5:15] webhooks[0].url: begins with https://",
		hooked + "      - {url: \"https://u:p@a.bc\", events: [quota.*]}\n":    "[5:15] webhooks[0].url: has a user or a password",
		hooked + "      - {url: \"https://a.bc\"}\n":                           "[5:9] webhooks[0].events: a webhook has 1 to 50 events",
		hooked + "      - {url: \"https://a.bc\", events: []}\n":               "webhooks[0].events: a webhook has 1 to 50 events",
		hooked + "      - {url: \"https://a.bc\", events: [email.sents]}\n":    "[5:40] webhooks[0].events[0]: is no type of events",
		hooked + "      - {url: \"https://a.bc\", events: [quota.*, quota.*]}": "[5:49] webhooks[0].events[1]: is there already",

		hook + "enabled: \"yes\"\n":                        "[7:18] webhooks[0].enabled: must be true or false",
		hook + "secret: " + hookSecret + "\n":              "[7:17] webhooks[0].secret: a secret does not stand in the file",
		hook + "secret: ${BAD}\n":                          "[7:17] webhooks[0].secret: a secret is whsec_ and 24 to 64 bytes in base64",
		hook + "secret: ${NONE}\n":                         "[7:17] webhooks[0].secret: the environment variable NONE is not set",
		hook + "secret: ${WHSEC}\n        secretFile: x\n": "[7:17] webhooks[0].secret: a webhook has either secret or secretFile",
		hook + "name: x\n":                                 "[7:9] webhooks[0]: unknown key \"name\"; known are enabled, events, secret, secretFile, url",
		hook + "enabled: true\n      - {url: https://a.bc/, events: [quota.*]}\n": "[8:15] webhooks[1].url: webhook \"a/https://a.bc/\" is in the file twice",
	} {
		_, err := parseHooks(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), hookSecret)
		require.NotContains(t, err.Error(), "\n", "one thing is wrong, not two")
	}
	same, err := parseHooks(hooked + "      - {url: https://a.bc/, events: [quota.*]}\n" +
		"  - {id: b, domain: b.bc, webhooks: [{url: https://a.bc/, events: [quota.*]}]}\n")
	require.NoError(t, err, "of another tenant")
	require.Len(t, same, 2)
	_, err = parseHooks(hooked + "      - {url: \"${HOOK}\", events: [quota.*]}\n      - {url: \"${HOOK}\", events: [quota.*]}\n")
	require.ErrorContains(t, err, "is in the file twice")
	require.NotContains(t, err.Error(), "verysecret")
}

// Of several webhooks with one URL a file speaks of the first, and the others stay.
func TestWebhooks_OfOneURL(t *testing.T) {
	t.Parallel()
	there := wanted("a", "a", "a.bc", tenant.Settings{})
	hook := func(id string, events ...string) plan.Resource {
		return plan.FromWebhook("a", id, "https://a.bc/", plan.WebhookContent{Events: events, Enabled: true})
	}
	there.Sections[plan.KindWebhook] = []plan.Resource{hook("whk_1", "email.sent"), hook("whk_2", "*")}
	text, err := plan.Export([]plan.Tenant{there})
	require.NoError(t, err)
	require.Equal(t, "tenants:\n  - id: a\n    domain: a.bc\n    webhooks:\n      - url: https://a.bc/\n        events:\n          - email.sent\n", string(text))
	want, err := parse(string(text))
	require.NoError(t, err)
	require.Empty(t, plan.Diff(want, []plan.Tenant{there}, true))
}

// While a rotation lasts there are two good keys of one name.
func TestExport_KeyInRotation(t *testing.T) {
	t.Parallel()
	there := wanted("a", "a", "a.bc", tenant.Settings{})
	key := func(id string) plan.Resource {
		return plan.FromAPIKey("a", id, "k", plan.KeyContent{Networks: []string{"2001:db8::/32", "10.0.0.0/8"}})
	}
	there.Sections[plan.KindAPIKey] = []plan.Resource{key("key_2"), key("key_1")}
	text, err := plan.Export([]plan.Tenant{there})
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), "name: k"))
	require.Contains(t, string(text), "allowedCidrs:\n          - 10.0.0.0/8\n          - 2001:db8::/32\n")
	want, err := parse(string(text))
	require.NoError(t, err)
	require.Empty(t, plan.Diff(want, []plan.Tenant{there}, true))
	require.Empty(t, plan.Notes(want, []plan.Tenant{there}))
	want[0].Sections[plan.KindAPIKey][0].Fields["allowedCidrs"] = []any{"10.0.0.0/9"}
	require.Contains(t, plan.Notes(want, []plan.Tenant{there})[0], "has another allowedCidrs than the file says")
}

func TestParse_NetworksOfAKey(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"[]":           "apiKeys[0].allowedCidrs: must be 1 to 50 networks",
		"[10.0.0.1/8]": "apiKeys[0].allowedCidrs[0]: the address has bits behind the prefix",
		"[5]":          "apiKeys[0].allowedCidrs[0]: must be text, not a number",
	} {
		_, err := parse("tenants: [{id: a, domain: a.bc, apiKeys: [{name: k, scopes: ['emails:send'], allowedCidrs: " + list + "}]}]")
		require.ErrorContains(t, err, want)
	}
	tenants, err := parse("tenants: [{id: a, domain: a.bc, apiKeys: [{name: k, allowedCidrs: ['2001:DB8::/32']}]}]")
	require.NoError(t, err)
	require.Equal(t, []any{"2001:db8::/32"}, tenants[0].Sections[plan.KindAPIKey][0].Fields["allowedCidrs"], "as the API shows it")
}
