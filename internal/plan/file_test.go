package plan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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

func TestParse(t *testing.T) {
	t.Parallel()
	tenants, err := plan.Parse([]byte(seed))
	require.NoError(t, err)
	require.Equal(t, []tenant.Tenant{{
		ID: "acme-corp", Name: "acme-corp", Domain: "acme.com",
		Settings: tenant.Settings{
			FromEmail: "noreply@acme.com", FromName: "Acme Corporation", DailyLimit: ptr(10000), RateLimit: ptr(100),
			RateLimitPer: "minute", OverLimit: tenant.Reject, Timezone: "UTC", OnUnknownOutcome: tenant.Resend,
		},
	}}, tenants)
}

func TestParse_EveryKey(t *testing.T) {
	t.Parallel()
	tenants, err := plan.Parse([]byte(`
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
    tracking: {opens: true, clicks: true, domain: Klick.München.example}
    quotas: {dailyLimit: 0, rateLimit: 5, rateLimitPer: hour, burst: 2, overLimit: queue}
`))
	require.NoError(t, err)
	require.Len(t, tenants, 2)
	require.Equal(t, "b", tenants[0].ID, "in the order of the file")
	require.Equal(t, "b.example", tenants[0].Domain)
	require.Nil(t, tenants[0].Settings.DailyLimit, "no limit unless the file has one")
	require.Equal(t, tenant.Tenant{
		ID: "a", Name: "Ähren & Söhne", Domain: "xn--mnchen-3ya.example",
		Settings: tenant.Settings{
			FromEmail: "post@xn--mnchen-3ya.example", FromName: "Post: Amt", ReplyTo: "Hilfe <hilfe@example.net>", DailyLimit: ptr(0),
			RateLimit: ptr(5), RateLimitPer: "hour", Burst: ptr(2), OverLimit: tenant.Queue, Timezone: "Europe/Berlin",
			OnUnknownOutcome: tenant.Hold, Weight: ptr(3),
			Tracking: tenant.Tracking{Opens: true, Clicks: true, Domain: "klick.xn--mnchen-3ya.example"},
		},
	}, tenants[1])
}

func TestParse_NoTenants(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "tenants:\n", "tenants: []\n"} {
		tenants, err := plan.Parse([]byte(text))
		require.NoError(t, err, text)
		require.Empty(t, tenants, text)
	}
}

func TestParse_SaysWhereAndWhat(t *testing.T) {
	t.Parallel()
	const two = seed + "  - id: b\n    domain: b.example\n"
	for text, want := range map[string][]string{
		"tenants:\n  - id: [a\n":                            {"[2:"},
		"\ttenants:\n":                                      {"[1:"},
		"tenants: !!binary x\n":                             {"[1:1]", "not readable"},
		"tenants: 5\n":                                      {"[1:10]"},
		"tenants:\n  - id: {a: b}\n":                        {"[2:9]"},
		"tenant:\n  - id: a\n":                              {"[1:1]", `"tenant"`},
		seed + "    dailyLimit: 5\n":                        {"[9:5]", `"dailyLimit"`},
		seed + "      dailyLimits: 5\n":                     {"[9:7]", `"dailyLimits"`},
		seed + "      dailyLimit: 5\n":                      {"[9:7]", `"dailyLimit"`, "already"},
		seed + "      burst: many\n":                        {"[9:14]"},
		seed + "    weight: heavy\n":                        {"[9:13]"},
		seed + "  - id: acme-corp\n    domain: b.example\n": {"[9:9] id: ", `"acme-corp" is in the file twice`},
		seed + "  - domain: b.example\n":                    {"[9:", "has an id"},
		seed + "  - id: Acme\n    domain: b.example\n":      {"[9:9] id: ", "1 to 63 characters"},
		seed + "  - id: b\n":                                {"[9:", "domain: the domain is empty"},
		two + "    quotas:\n      rateLimit: 0\n":           {"[12:18] quotas.rateLimit: must be 1 to 1000000"},
		two + "    tracking:\n      domain: acme\n":         {`[12:15] tracking.domain: the domain "acme" has no dot`},
		two + "    timezone: Mars/Olympus\n":                {"[11:15] timezone: not an IANA time zone name"},
		two + "    fromEmail: a@c.example\n    replyTo: nobody\n": {
			"[11:16] fromEmail: the sender address must be on the tenant's domain b.example", "[12:14] replyTo: the address has no @",
		},
		two + "    name: \"a\\nb\"\n": {"[11:11] name: a name has no line breaks"},
	} {
		_, err := plan.Parse([]byte(text))
		for _, part := range want {
			require.ErrorContains(t, err, part, text)
		}
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
		_, err := plan.Parse([]byte(seed + line))
		require.ErrorContains(t, err, want, line)
	}
}

func longText() string { return strings.Repeat("n", 201) }

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		seed, "", "tenants:\n", "tenants: [{id: a, domain: a.bc}]", "tenants:\n- id: a\n  domain: x\n  quotas: {burst: 0}", "a: &a [*a]", "- \t:",
		"tenants: [{id: a, domain: a.bc}, {id: a, domain: a.bc}]", "tenants: [null]", "<<: *x", "tenants: !!binary x", "---\n---\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tenants, err := plan.Parse(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a word")
			}
			return
		}
		for _, one := range tenants {
			if err := tenant.CheckID(one.ID); err != nil {
				t.Fatalf("%q is let through: %v", one.ID, err)
			}
			if err := one.Validate(); err != nil {
				t.Fatalf("%+v is let through: %v", one, err)
			}
		}
		// What a file says is there once it was applied.
		changes, err := plan.Diff(tenants, tenants, true)
		if err != nil || len(changes) > 0 {
			t.Fatalf("%+v differ from themselves (%v)", changes, err)
		}
	})
}
