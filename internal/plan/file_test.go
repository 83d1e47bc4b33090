package plan_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

func ptr(n int) *int { return &n }

// seed is the file of the guide.
const seed = `tenants:
  - id: acme-corp
    domain: acme.com
    fromEmail: noreply@acme.com
    fromName: Acme Corporation
    quotas:
      dailyLimit: 10000
      rateLimit: 100
`

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func source() plan.Source {
	env := map[string]string{"NAME": "Ada", "EMPTY": "", "LIMIT": "7", "ODD": "many", "SECRET": "hunter2"}
	return plan.Source{
		Files: fstest.MapFS{
			"t/welcome.html": {Data: []byte("<p>${kept} {{name}}</p>\n")}, "empty": {}, "binary": {Data: []byte("\xff")},
			"huge": {Data: make([]byte, 512<<10+1)},
		},
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Now: now,
	}
}

func parse(text string) ([]plan.Tenant, error) { return plan.Parse([]byte(text), source()) }

func wanted(id, name, domain string, s tenant.Settings) plan.Tenant {
	return plan.FromTenant(tenant.Tenant{ID: id, Name: name, Domain: domain, Settings: s})
}

func TestParse(t *testing.T) {
	t.Parallel()
	tenants, err := parse(seed)
	require.NoError(t, err)
	require.Equal(t, []plan.Tenant{wanted("acme-corp", "acme-corp", "acme.com", tenant.Settings{
		FromEmail: "noreply@acme.com", FromName: "Acme Corporation", DailyLimit: ptr(10000), RateLimit: ptr(100),
	})}, tenants)
}

func TestParse_EveryKey(t *testing.T) {
	t.Parallel()
	tenants, err := parse(`
# comments are fine
tenants:
  - {id: b, domain: B.Example}
  - id: a
    name: Ähren & Söhne
    domain: münchen.example
    fromEmail: Post <post@MÜNCHEN.example>
    fromName: "Post: Amt"
    replyTo: Hilfe <hilfe@example.net>
    timezone: Europe/Berlin
    onUnknownOutcome: hold
    weight: 3
    quotas: {dailyLimit: 0, rateLimit: 5, rateLimitPer: hour, burst: 2, overLimit: queue}
    templates:
      - name: welcome
        subject: Hello {{name}}
        htmlFile: ./t/../t/welcome.html
        text: |
          Hello
            {{name}}
        variables: {type: object, properties: {name: {type: string, maxLength: 5}}, required: [name], default: {x: [1.5, true, null]}}
    apiKeys:
      - {name: production}
      - {name: sender, scopes: ["emails:send"], expiresAt: 2030-01-01T02:00:00+02:00, secretFile: k}
      - {name: over, expiresAt: 2020-01-01T00:00:00Z}
`)
	require.NoError(t, err)
	require.Len(t, tenants, 2)
	require.Equal(t, wanted("b", "b", "b.example", tenant.Settings{}), tenants[0], "in the order of the file; no limit unless the file has one")
	a := tenants[1]
	require.Equal(t, wanted("a", "Ähren & Söhne", "xn--mnchen-3ya.example", tenant.Settings{
		FromEmail: "post@xn--mnchen-3ya.example", FromName: "Post: Amt", ReplyTo: "Hilfe <hilfe@example.net>", DailyLimit: ptr(0),
		RateLimit: ptr(5), RateLimitPer: "hour", Burst: ptr(2), OverLimit: tenant.Queue, Timezone: "Europe/Berlin",
		OnUnknownOutcome: tenant.Hold, Weight: ptr(3),
	}).Resource, a.Resource)
	require.Equal(t, []plan.Resource{plan.FromTemplate("a", "welcome", plan.TemplateContent{
		Subject: "Hello {{name}}", HTML: "<p>${kept} {{name}}</p>\n", Text: "Hello\n  {{name}}\n",
		Variables: map[string]any{
			"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string", "maxLength": 5.0}},
			"required": []any{"name"}, "default": map[string]any{"x": []any{1.5, true, nil}},
		},
	})}, a.Sections[plan.KindTemplate])
	end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, plan.FromAPIKey("a", "", "production", plan.KeyContent{Scopes: apikey.Scopes(apikey.Tenant)}), a.Sections[plan.KindAPIKey][0])
	sender := plan.FromAPIKey("a", "", "sender", plan.KeyContent{Scopes: []apikey.Scope{apikey.EmailsSend}, ExpiresAt: &end})
	sender.SecretFile = "k"
	require.Equal(t, sender, a.Sections[plan.KindAPIKey][1])
	require.True(t, a.Sections[plan.KindAPIKey][2].Ended)
}

func TestParse_NoTenants(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "tenants:\n", "tenants: []\n", "---\n---\n"} {
		tenants, err := parse(text)
		require.NoError(t, err, text)
		require.Empty(t, tenants, text)
	}
}

// A section that is absent is not spoken of; one that is empty is.
func TestParse_AbsentIsNotEmpty(t *testing.T) {
	t.Parallel()
	tenants, err := parse("tenants: [{id: a, domain: a.bc}, {id: b, domain: b.bc, templates: [], apiKeys: [], webhooks: []}, {id: c, domain: c.bc, templates: }]")
	require.NoError(t, err)
	require.True(t, tenants[0].Sections[plan.KindTemplate] == nil && tenants[0].Sections[plan.KindAPIKey] == nil && tenants[2].Sections[plan.KindTemplate] == nil)
	require.True(t, tenants[1].Sections[plan.KindTemplate] != nil && tenants[1].Sections[plan.KindAPIKey] != nil)
	require.True(t, tenants[0].Sections[plan.KindWebhook] == nil && tenants[1].Sections[plan.KindWebhook] != nil)
}

func TestParse_References(t *testing.T) {
	t.Parallel()
	tenants, err := parse(`
tenants:
  - id: a
    domain: a.bc
    name: "${NAME} ${EMPTY:-of} ${NONE:-Z}${EMPTY}"
    fromName: $${NAME} $5 $$ $$${NAME}
    quotas:
      burst: ${LIMIT}
    templates: [{name: w, text: "${SECRET}"}]
`)
	require.NoError(t, err)
	fields := tenants[0].Fields
	require.Equal(t, []any{"Ada of Z", "${NAME} $5 $$ $${NAME}", 7.0}, []any{fields["name"], fields["fromName"], fields["burst"]})
	require.Equal(t, "hunter2", tenants[0].Sections[plan.KindTemplate][0].Fields["text"])
	require.Equal(t, "${LIMIT}", tenants[0].References["burst"])
	require.NotContains(t, tenants[0].References, "fromName", "an escape is no reference")

	var shown strings.Builder
	changed := []plan.Tenant{wanted("a", "x", "a.bc", tenant.Settings{Burst: ptr(77)})}
	changed[0].Sections[plan.KindTemplate] = []plan.Resource{plan.FromTemplate("a", "w", plan.TemplateContent{Text: "hunter1"})}
	changes := plan.Diff(tenants, changed, false)
	require.NoError(t, plan.Print(&shown, changes))
	require.NoError(t, plan.PrintJSON(&shown, changes))
	require.NotContains(t, shown.String(), "hunter", "neither what a variable holds, nor what it held")
	require.Contains(t, shown.String(), "burst: (not shown) -> ${LIMIT}\n")
	require.Contains(t, shown.String(), `"reference": "${SECRET}"`)
}

func TestParse_AliasesAndMerges(t *testing.T) {
	t.Parallel()
	tenants, err := parse(`
x-limits: &limits {dailyLimit: 5, burst: 9}
tenants:
  - {id: a, domain: a.bc, quotas: *limits}
  - {id: b, domain: b.bc, quotas: {<<: *limits, burst: 2}}
`)
	require.NoError(t, err)
	require.InDelta(t, 9, tenants[0].Fields["burst"], 0)
	require.InDelta(t, 2, tenants[1].Fields["burst"], 0)
	require.InDelta(t, 5, tenants[1].Fields["dailyLimit"], 0)
}

func TestParse_SaysWhereAndWhat(t *testing.T) {
	t.Parallel()
	const two = seed + "  - id: b\n    domain: b.example\n"
	const template, key = two + "    templates:\n      - name: w\n        ", two + "    apiKeys:\n      - name: k\n        "
	for text, want := range map[string][]string{
		"tenants:\n  - id: [a\n":                            {"[2:"},
		"\ttenants:\n":                                      {"[1:"},
		"tenants: !!binary x\n":                             {"[1:10]", "tags"},
		"tenants: 5\n":                                      {"[1:10] tenants: must be a list"},
		"- 5\n":                                             {"[1:1] must be a mapping"},
		"\xff":                                              {"[1:1] the file is not UTF-8"},
		"tenants: []\n---\ntenants: []\n":                   {"[3:1]", "one YAML document"},
		"tenants:\n  - id: {a: b}\n":                        {"[2:9]"},
		"tenant:\n  - id: a\n":                              {"[1:1]", `"tenant"; is it "tenants"?`},
		seed + "    dailyLimit: 5\n":                        {"[9:5]", `"dailyLimit"`, "below quotas"},
		seed + "    domian: a\n":                            {"[9:5]", `is it "domain"?`},
		seed + "      dailyLimits: 5\n":                     {"[9:7]", `"dailyLimits"`},
		seed + "      dailyLimit: 5\n":                      {"[9:7]", `"dailyLimit"`, "already"},
		seed + "      burst: many\n":                        {"[9:14]"},
		seed + "      burst: \"5\"\n":                       {"[9:14] quotas.burst: must be a whole number, not text"},
		seed + "      burst: 0x10\n":                        {"[9:14] quotas.burst"},
		seed + "      burst: 99999999999999999999\n":        {"[9:14] quotas.burst"},
		seed + "      burst: ${NONE}\n":                     {"[9:14] quotas.burst: the environment variable NONE is not set"},
		seed + "      burst: ${ODD}\n":                      {"[9:14] quotas.burst: must be a whole number"},
		seed + "      burst: ${1}\n":                        {"[9:14] quotas.burst: a reference is ${NAME}"},
		seed + "      burst: *x\n":                          {"[9:14] quotas.burst: the alias *x has no anchor"},
		seed + "    weight: heavy\n":                        {"[9:13]"},
		seed + "    weight: 1.5\n":                          {"[9:13] weight: must be a whole number, not a number with a fraction"},
		seed + "    weight: 1e3\n":                          {"[9:13] weight"},
		seed + "    weight: [1]\n":                          {"[9:13] weight: must be a whole number, not a list"},
		seed + "    timezone: 5\n":                          {"[9:15] timezone: must be text, not a number; put it in quotes"},
		seed + "    replyTo: {a: b}\n":                      {"[9:14] replyTo: must be text, not a mapping"},
		seed + "  - id: acme-corp\n    domain: b.example\n": {"[9:9] id: ", `"acme-corp" is in the file twice`},
		seed + "  - domain: b.example\n":                    {"[9:5]", "has an id"},
		seed + "  - id: Acme\n    domain: b.example\n":      {"[9:9] id: ", "1 to 63 characters"},
		seed + "  - id: b\n":                                {"[9:5] domain: the domain is empty"},
		two + "    quotas:\n      rateLimit: 0\n":           {"[12:18] quotas.rateLimit: must be 1 to 1000000"},
		two + "    timezone: Mars/Olympus\n":                {"[11:15] timezone: not an IANA time zone name"},
		two + "    fromEmail: a@c.example\n    replyTo: nobody\n": {
			"[11:16] fromEmail: the sender address must be on the tenant's domain b.example", "[12:14] replyTo: the address has no @",
		},
		two + "    name: \"a\\nb\"\n":                            {"[11:11] name: a name has no line breaks"},
		two + "    templates: {a: b}\n":                          {"[11:16] templates: must be a list"},
		template + "subject: s\n":                                {"[12:9] templates[0]: a template has html"},
		template + "html: a\n        htmlFile: b\n":              {"[14:19] templates[0].htmlFile: a template has either"},
		template + "htmlFile: ../x\n":                            {"[13:19] templates[0].htmlFile: must be a relative path that stays"},
		template + "htmlFile: /etc/passwd\n":                     {"[13:19]", "must be a relative path"},
		template + "htmlFile: none\n":                            {"[13:19]", "can not be read"},
		template + "htmlFile: t\n":                               {"[13:19]", "not a regular file"},
		template + "textFile: empty\n":                           {"[13:19]", "the file is empty"},
		template + "textFile: huge\n":                            {"[13:19]", "larger than 512 kB"},
		template + "textFile: binary\n":                          {"[13:19]", "not UTF-8"},
		template + "text: a\n      - name: w\n        text: b\n": {"[14:15] templates[1].name: template \"b/w\" is in the file twice"},
		two + "    templates: [{name: a b, text: x}]\n":          {"[11:24] templates[0].name", "letters, digits"},
		key + "scopes: [root]\n":                                 {"[13:18] apiKeys[0].scopes[0]: must be one of emails:send"},
		key + "scopes: []\n":                                     {"[13:17] apiKeys[0].scopes"},
		key + "expiresAt: tomorrow\n":                            {"[13:20] apiKeys[0].expiresAt: must be a time"},
		key + "key: mt_live_x\n":                                 {"[13:9]", `unknown key "key"`},
		two + "    apiKeys: [{name: k}, {name: k}]\n":            {"[11:33] apiKeys[1].name: API key \"b/k\" is in the file twice"},
		two + "    apiKeys: [{}]\n":                              {"[11:15] apiKeys[0].name: an API key has a name"},
	} {
		_, err := parse(text)
		for _, part := range want {
			require.ErrorContains(t, err, part, text)
		}
	}
}

// Everything that is wrong is said at once, in the order of the file, and each thing once.
func TestParse_SaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := parse("tenants:\n  - id: a\n    domain: 5\n    weight: x\n    burts: 1\n  - id: b\n    domain: b.bc\n    timezone: Mars\n")
	var problems plan.Problems
	require.ErrorAs(t, err, &problems)
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	require.Equal(t, []int{3, 4, 5, 8}, lines, err)
}

// A small file can not become a huge one, nor take the process's stack.
func TestParse_RefusesBombs(t *testing.T) {
	t.Parallel()
	bomb := "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		from, to := string(rune('0'+i)), string(rune('1'+i))
		bomb += "x-" + to + ": &a" + to + " [" + strings.TrimSuffix(strings.Repeat("*a"+from+", ", 10), ", ") + "]\n"
	}
	for name, text := range map[string]string{
		"aliases": bomb + "tenants: [{id: a, domain: a.bc, templates: [{name: x, text: x, variables: {x: *a9}}]}]\n",
		"itself":  "tenants: &a [{id: a, domain: a.bc, templates: [{name: x, text: x, variables: {x: *a}}]}]\n",
		"lists":   strings.Repeat("[", 1_000_000),
		"dashes":  strings.Repeat("- ", 1_000_000),
		"deep":    "tenants: [{id: a, domain: a.bc, templates: [{name: x, text: x, variables: {x: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}}]}]\n",
	} {
		_, err := parse(text)
		require.ErrorContains(t, err, "deeply", name)
		require.Less(t, len(err.Error()), 2000, name)
	}
}

// A value that only the API's schema would refuse must not pass as if it were not there.
func TestParse_RefusesValuesOfNoMeaning(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"    onUnknownOutcome: retry\n":  "onUnknownOutcome",
		"    weight: 0\n":                "weight",
		"    weight: 1001\n":             "weight",
		"      rateLimitPer: day\n":      "quotas.rateLimitPer",
		"      burst: 0\n":               "quotas.burst",
		"      burst: 1000001\n":         "quotas.burst",
		"    name: " + longText() + "\n": "name",
	} {
		_, err := parse(seed + line)
		require.ErrorContains(t, err, want, line)
	}
}

func longText() string { return strings.Repeat("n", 201) }

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		seed, "", "tenants:\n", "tenants: [{id: a, domain: a.bc}]", "tenants:\n- id: a\n  domain: x\n  quotas: {burst: 0}", "a: &a [*a]", "- \t:",
		"tenants: [{id: a, domain: a.bc}, {id: a, domain: a.bc}]", "tenants: [null]", "<<: *x", "tenants: !!binary x", "---\n---\n",
		"x-a: &a {burst: 2}\ntenants: [{id: a, domain: a.bc, quotas: {<<: *a}, name: '${NAME:-x}', templates: [{name: x, htmlFile: t/welcome.html, " +
			"variables: {a: [1, .5, ~]}}], apiKeys: [{name: k, expiresAt: 2030-01-01T00:00:00Z, scopes: ['emails:send'], allowedCidrs: [10.0.0.0/8]}], " +
			"webhooks: [{url: https://a.bc/, events: [quota.*], enabled: false, secret: '${SECRET:-}', secretFile: x}]}]",
		"? a\n: b", "tenants: ? [", "tenants: [{id: a, domain: a.bc, templates: [{name: x, text: \"\\u0007 ${NAME} $${x}\\n \\n\"}]}]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tenants, err := plan.Parse(text, source())
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("an error without a word, or with one too many: %v", err)
			}
			return
		}
		for _, one := range tenants {
			if err := tenant.CheckID(one.TenantID); err != nil {
				t.Fatalf("%q is let through: %v", one.TenantID, err)
			}
		}
		// What a file says is there once it was applied, also by way of an export.
		if changes := plan.Diff(tenants, tenants, true); len(withoutKeys(changes)) > 0 {
			t.Fatalf("%+v differ from themselves", changes)
		}
		exported, err := plan.Export(tenants)
		if err != nil {
			t.Fatal(err)
		}
		again, err := plan.Parse(exported, source())
		if err != nil {
			t.Fatalf("%v in\n%s", err, exported)
		}
		if changes := plan.Diff(again, tenants, true); len(withoutKeys(changes)) > 0 {
			t.Fatalf("%+v came by the export\n%s", changes, exported)
		}
	})
}

func withoutKeys(changes []plan.Change) (left []plan.Change) {
	for _, c := range changes {
		if c.Kind != plan.KindAPIKey {
			left = append(left, c)
		}
	}
	return left
}
