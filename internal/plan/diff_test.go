package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

func one(id string, change ...func(*tenant.Tenant)) plan.Tenant {
	t := tenant.Tenant{ID: id, Name: id, Domain: id + ".example", Status: tenant.Active}
	for _, c := range change {
		c(&t)
	}
	return plan.FromTenant(t)
}

func printed(t *testing.T, changes []plan.Change) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, plan.Print(&b, changes))
	return b.String()
}

func TestDiff_Nothing(t *testing.T) {
	t.Parallel()
	want := []plan.Tenant{one("a"), one("b")}
	have := []plan.Tenant{
		one("b", func(t *tenant.Tenant) { t.Version, t.Status = 7, tenant.Provisioning }),
		one("a", func(t *tenant.Tenant) { t.Settings = t.Settings.WithDefaults() }),
		one("c"),
	}
	changes := plan.Diff(want, have, false)
	require.Empty(t, changes, "a default is what was not chosen, the order is of no account, and what is not wanted stays")
	require.Empty(t, printed(t, changes))
}

func TestDiff_AsAPersonReadsIt(t *testing.T) {
	t.Parallel()
	want := []plan.Tenant{
		one("new", func(t *tenant.Tenant) { t.Settings.DailyLimit = ptr(5) }),
		one("changed", func(t *tenant.Tenant) {
			t.Name, t.Domain = `The "Changed"`, "changed.net"
			t.Settings = tenant.Settings{FromName: "Ümlaut", DailyLimit: ptr(20000), RateLimit: ptr(100), Timezone: "Europe/Berlin", Weight: ptr(2)}
		}),
		one("same"),
	}
	have := []plan.Tenant{
		one("same"), one("z-old"), one("old"), one("going", func(t *tenant.Tenant) { t.Status = tenant.Deleting }),
		one("changed", func(t *tenant.Tenant) {
			t.Settings = tenant.Settings{FromEmail: "a@changed.example", DailyLimit: ptr(10000), Weight: ptr(2), Burst: ptr(3)}
		}),
	}
	changes := plan.Diff(want, have, false)
	const kept = `+ tenant new: create
~ tenant changed: update
    burst: 3 -> null
    dailyLimit: 10000 -> 20000
    domain: "changed.example" -> "changed.net"
    fromEmail: "a@changed.example" -> null
    fromName: null -> "Ümlaut"
    name: "changed" -> "The \"Changed\""
    rateLimit: null -> 100
    timezone: "UTC" -> "Europe/Berlin"
`
	require.Equal(t, kept, printed(t, changes))
	require.Equal(t, []plan.Resource{want[0].Resource, want[1].Resource}, []plan.Resource{changes[0].Want, changes[1].Want})

	changes = plan.Diff(want, have, true)
	require.Equal(t, kept+"- tenant old: delete\n- tenant z-old: delete\n", printed(t, changes), "what goes already is left alone")
}

func TestDiff_PruneOfAll(t *testing.T) {
	t.Parallel()
	changes := plan.Diff(nil, []plan.Tenant{one("b"), one("a")}, true)
	require.Equal(t, "- tenant a: delete\n- tenant b: delete\n", printed(t, changes))
}

// Characters that JSON escapes for HTML are shown as they are.
func TestDiff_ShowsTextAsItIs(t *testing.T) {
	t.Parallel()
	want := one("a", func(t *tenant.Tenant) { t.Name, t.Settings.FromName = "A & B", "<C>" })
	changes := plan.Diff([]plan.Tenant{want}, []plan.Tenant{one("a")}, false)
	require.Equal(t, "~ tenant a: update\n    fromName: null -> \"<C>\"\n    name: \"a\" -> \"A & B\"\n", printed(t, changes))
}

// broken takes some writes, and then no more.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestPrint_SaysWhenItCanNot(t *testing.T) {
	t.Parallel()
	changes := plan.Diff([]plan.Tenant{one("a", func(t *tenant.Tenant) { t.Name = "b" })}, []plan.Tenant{one("a")}, false)
	for writes := range 2 {
		require.ErrorContains(t, plan.Print(&broken{writes}, changes), "broken pipe")
	}
	require.NoError(t, plan.Print(&broken{2}, changes))
}

func section(entries ...plan.TemplateContent) (all []plan.Resource) {
	for i, e := range entries {
		all = append(all, plan.FromTemplate("a", string(rune('k'+i)), e))
	}
	return all
}

func TestDiff_Sections(t *testing.T) {
	t.Parallel()
	want, have := one("a"), one("a")
	have.Sections[plan.KindTemplate] = section(plan.TemplateContent{HTML: "a\nb\nc\nd\n", Subject: "S"}, plan.TemplateContent{Text: "x"}, plan.TemplateContent{Text: "extra"})
	have.Sections[plan.KindAPIKey] = []plan.Resource{plan.FromAPIKey("a", "key_1", "kept", plan.KeyContent{}), plan.FromAPIKey("a", "key_2", "extra", plan.KeyContent{})}
	require.Empty(t, plan.Diff([]plan.Tenant{want}, []plan.Tenant{have}, true), "a section that is absent says nothing")

	want.Sections[plan.KindTemplate] = section(plan.TemplateContent{HTML: "a\nB\nc\nd\n", Subject: "S"}, plan.TemplateContent{Text: "x"})
	ended := plan.FromAPIKey("a", "", "over", plan.KeyContent{})
	ended.Ended = true
	scoped := plan.FromAPIKey("a", "", "kept", plan.KeyContent{Scopes: []apikey.Scope{apikey.EmailsSend}})
	want.Sections[plan.KindAPIKey] = []plan.Resource{scoped, plan.FromAPIKey("a", "", "new", plan.KeyContent{}), ended}
	changes := plan.Diff([]plan.Tenant{want}, []plan.Tenant{have}, true)
	require.Equal(t, "~ template a/k: update\n    html: from line 2 on\n      - b\n      + B\n+ API key a/new: create\n"+
		"- template a/m: delete\n- API key a/extra: delete\n", printed(t, changes))
	require.Equal(t, "key_2", changes[3].Have.ID)
	require.Len(t, plan.Diff([]plan.Tenant{want}, []plan.Tenant{have}, false), 2)
	notes := plan.Notes([]plan.Tenant{want}, []plan.Tenant{have})
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "API key a/kept is kept, but has another scopes")
}

// A template can not talk to the terminal, nor fill it.
func TestPrint_IsSafeAndShort(t *testing.T) {
	t.Parallel()
	want, have := one("a"), one("a")
	have.Sections[plan.KindTemplate] = section(plan.TemplateContent{Text: "a\n" + strings.Repeat("old\n", 50), Subject: strings.Repeat("s", 1000)})
	want.Sections[plan.KindTemplate] = section(plan.TemplateContent{Text: "a\n\x1b[31m\"x\"\n", Subject: "t"})
	out := printed(t, plan.Diff([]plan.Tenant{want}, []plan.Tenant{have}, false))
	require.NotContains(t, out, "\x1b")
	require.Contains(t, out, `+ \u001b[31m"x"`)
	require.Contains(t, out, "- … 40 lines more")
	require.Contains(t, out, "s… (1002 bytes)")
}

// A tenant that is on its way out is none that is there.
func TestDiff_Deleting(t *testing.T) {
	t.Parallel()
	going := one("a", func(t *tenant.Tenant) { t.Status = tenant.Deleting })
	require.Equal(t, "+ tenant a: create\n", printed(t, plan.Diff([]plan.Tenant{one("a")}, []plan.Tenant{going}, true)))
}
