package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

func one(id string, change ...func(*tenant.Tenant)) tenant.Tenant {
	t := tenant.Tenant{ID: id, Name: id, Domain: id + ".example", Status: tenant.Active}
	for _, c := range change {
		c(&t)
	}
	return t
}

func printed(t *testing.T, changes []plan.Change) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, plan.Print(&b, changes))
	return b.String()
}

func TestDiff_Nothing(t *testing.T) {
	t.Parallel()
	want := []tenant.Tenant{one("a"), one("b")}
	have := []tenant.Tenant{
		one("b", func(t *tenant.Tenant) { t.Version, t.Status = 7, tenant.Provisioning }),
		one("a", func(t *tenant.Tenant) { t.Settings = t.Settings.WithDefaults() }),
		one("c"),
	}
	changes, err := plan.Diff(want, have, false)
	require.NoError(t, err)
	require.Empty(t, changes, "a default is what was not chosen, the order is of no account, and what is not wanted stays")
	require.Empty(t, printed(t, changes))
}

func TestDiff_AsAPersonReadsIt(t *testing.T) {
	t.Parallel()
	want := []tenant.Tenant{
		one("new", func(t *tenant.Tenant) { t.Settings.DailyLimit = ptr(5) }),
		one("changed", func(t *tenant.Tenant) {
			t.Name, t.Domain = `The "Changed"`, "changed.net"
			t.Settings = tenant.Settings{FromName: "Ümlaut", DailyLimit: ptr(20000), RateLimit: ptr(100), Timezone: "Europe/Berlin", Weight: ptr(2)}
		}),
		one("same"),
	}
	have := []tenant.Tenant{
		one("same"), one("z-old"), one("old"), one("going", func(t *tenant.Tenant) { t.Status = tenant.Deleting }),
		one("changed", func(t *tenant.Tenant) {
			t.Settings = tenant.Settings{FromEmail: "a@changed.example", DailyLimit: ptr(10000), Weight: ptr(2), Burst: ptr(3)}
		}),
	}
	changes, err := plan.Diff(want, have, false)
	require.NoError(t, err)
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
	got := []tenant.Tenant{changes[0].Want, changes[1].Want}
	require.Equal(t, want[:2], got)

	changes, err = plan.Diff(want, have, true)
	require.NoError(t, err)
	require.Equal(t, kept+"- tenant old: delete\n- tenant z-old: delete\n", printed(t, changes), "what goes already is left alone")
}

func TestDiff_PruneOfAll(t *testing.T) {
	t.Parallel()
	changes, err := plan.Diff(nil, []tenant.Tenant{one("b"), one("a")}, true)
	require.NoError(t, err)
	require.Equal(t, []plan.Change{{Action: plan.Delete, TenantID: "a"}, {Action: plan.Delete, TenantID: "b"}}, changes)
}

// Characters that JSON escapes for HTML are shown as they are.
func TestDiff_ShowsTextAsItIs(t *testing.T) {
	t.Parallel()
	want := one("a", func(t *tenant.Tenant) { t.Name, t.Settings.FromName = "A & B", "<C>" })
	changes, err := plan.Diff([]tenant.Tenant{want}, []tenant.Tenant{one("a")}, false)
	require.NoError(t, err)
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
	changes, err := plan.Diff([]tenant.Tenant{one("a", func(t *tenant.Tenant) { t.Name = "b" })}, []tenant.Tenant{one("a")}, false)
	require.NoError(t, err)
	for writes := range 2 {
		require.ErrorContains(t, plan.Print(&broken{writes}, changes), "broken pipe")
	}
	require.NoError(t, plan.Print(&broken{2}, changes))
}
