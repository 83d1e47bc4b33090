package tenant_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestSlug(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"acme-corp":                     "acme-corp",
		"Acme Corp":                     "acme-corp",
		"  Acme,  Corp. & Co ":          "acme-corp-co",
		"Müller":                        "muller",
		"Crème Brûlée № 5":              "creme-brulee-no-5",
		"ﬁne ＡＢＣ":                       "fine-abc",
		"A.C.M.E.":                      "a-c-m-e",
		"-x-":                           "x",
		"42":                            "42",
		"":                              "",
		"!?":                            "",
		"株式会社":                          "",
		"株式会社 Acme":                     "acme",
		"x\r\ny\x00z":                   "x-y-z",
		strings.Repeat("a", 70):         strings.Repeat("a", 63),
		strings.Repeat("a", 62) + " bc": strings.Repeat("a", 62),
	} {
		require.Equal(t, want, tenant.Slug(name), "%q", name)
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "0", "ab", "a-b", "a--b", "4711", "acme-corp", strings.Repeat("a", 63)} {
		require.NoError(t, tenant.CheckID(id), id)
	}
	for _, id := range []string{
		"", "-", "-a", "a-", "A", "Acme", "a b", "a.b", "a_b", "a/b", "ü", "a\n", "\na", "a\x00", "a%2fb", "../a", strings.Repeat("a", 64),
	} {
		f, ok := fault.As(tenant.CheckID(id))
		require.True(t, ok, "%q", id)
		require.Equal(t, fault.Invalid, f.Kind)
		require.Equal(t, "invalid_tenant_id", f.Code)
	}
}

func TestMaySend(t *testing.T) {
	t.Parallel()
	require.NoError(t, tenant.MaySend(tenant.Active))
	for status, want := range map[tenant.Status]struct {
		kind fault.Kind
		code string
	}{
		tenant.Provisioning: {fault.Conflict, "tenant_provisioning"},
		tenant.Deleting:     {fault.Conflict, "tenant_deleting"},
		tenant.Draining:     {fault.Forbidden, "tenant_suspended"},
		tenant.Suspended:    {fault.Forbidden, "tenant_suspended"},
		"":                  {fault.Internal, "tenant_status_unknown"},
		"ACTIVE":            {fault.Internal, "tenant_status_unknown"},
	} {
		err := tenant.MaySend(status)
		require.Equal(t, want.kind, fault.KindOf(err), status)
		require.Equal(t, want.code, fault.CodeOf(err), status)
	}
}

// Whatever Slug makes of a name can be an id, and is the slug of itself.
func FuzzSlug(f *testing.F) {
	for _, s := range []string{"Acme Corp", "Müller & Söhne", "株式会社", "-", strings.Repeat("ab ", 40), "\xff", "e\u0301", "İ", "K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		slug := tenant.Slug(name)
		if slug == "" {
			return
		}
		if err := tenant.CheckID(slug); err != nil {
			t.Fatalf("%q becomes %q: %v", name, slug, err)
		}
		if again := tenant.Slug(slug); again != slug {
			t.Fatalf("%q becomes %q, which becomes %q", name, slug, again)
		}
	})
}
