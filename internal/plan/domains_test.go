package plan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestDomains_Read(t *testing.T) {
	t.Parallel()
	want, err := parse(`tenants:
  - id: acme-corp
    domain: acme.com
    fromEmail: news@mail.acme.com
    domains:
      - name: Mail.ACME.com
      - name: münchen.example
  - {id: quiet, domain: quiet.example}
  - {id: none, domain: none.example, domains: []}`)
	require.NoError(t, err)
	require.Equal(t, []plan.Resource{plan.FromDomain("acme-corp", "mail.acme.com"), plan.FromDomain("acme-corp", "xn--mnchen-3ya.example")},
		want[0].Sections[plan.KindDomain])
	require.NotContains(t, want[1].Sections, plan.KindDomain)
	require.Contains(t, want[2].Sections, plan.KindDomain)
}

func TestDomains_Refused(t *testing.T) {
	t.Parallel()
	for line, problem := range map[string]string{
		"{name: co.uk}":                      "co.uk is a public suffix, under which others register their domains",
		"{name: acme}":                       `the domain "acme" has no dot`,
		"{}":                                 "name",
		"{name: a.bc, keys: 2}":              "keys",
		"{name: a.bc}\n      - {name: A.bc}": `domain "a/a.bc" is in the file twice`,
		"{name: elsewhere.example}\n    fromEmail: a@mail.a.bc": "or on a verified domain of the tenant",
	} {
		_, err := parse("tenants:\n  - id: a\n    domain: a.bc\n    domains:\n      - " + line)
		require.ErrorContains(t, err, problem, line)
		require.Regexp(t, `^.*\d+:\d+`, strings.Split(err.Error(), "\n")[0])
	}
}

// Domains are made and, with prune, deleted; there is nothing of them to change.
func TestDomains_Diff(t *testing.T) {
	t.Parallel()
	want, err := parse("tenants: [{id: a, domain: a.bc, domains: [{name: new.a.bc}, {name: old.a.bc}]}]")
	require.NoError(t, err)
	have := plan.FromTenant(tenant.Tenant{ID: "a", Name: "a", Domain: "a.bc"})
	have.Sections[plan.KindDomain] = []plan.Resource{plan.FromDomain("a", "old.a.bc"), plan.FromDomain("a", "gone.a.bc")}
	titles := func(prune bool) (all []string) {
		for _, c := range plan.Diff(want, []plan.Tenant{have}, prune) {
			all = append(all, string(c.Action)+" "+c.Title())
		}
		return all
	}
	require.Equal(t, []string{"create domain a/new.a.bc"}, titles(false))
	require.Equal(t, []string{"create domain a/new.a.bc", "delete domain a/gone.a.bc"}, titles(true))
	var out strings.Builder
	require.NoError(t, plan.Print(&out, plan.Diff(want, []plan.Tenant{have}, true)))
	require.Contains(t, out.String(), "domain a/new.a.bc")
}
