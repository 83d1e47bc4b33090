package apiserver_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/dnscheck"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

const domainsPath = v1 + "/domains"

// dns is shared: a test has names of its own in it.
var dns = sync.OnceValues(testkit.StartDNS)

func resolver(t *testing.T) *dnscheck.Resolver {
	t.Helper()
	server, err := dns()
	require.NoError(t, err)
	return dnscheck.New(server.Address())
}

func (b *bundle) domain(key, name string) apiserver.Domain {
	b.t.Helper()
	return must[apiserver.Domain](b, http.StatusCreated, http.MethodPost, domainsPath, key, `{"name":"`+name+`"}`)
}

// publish puts the required records of a domain into the DNS, as they stand in the answer.
func publish(t *testing.T, d apiserver.Domain) {
	t.Helper()
	server, err := dns()
	require.NoError(t, err)
	for _, r := range d.Records {
		if r.Purpose == "dkim" && r.Status != "found" {
			require.NoError(t, server.Publish(r.Type, r.Name, r.Value))
		}
	}
}

func withdraw(t *testing.T, d apiserver.Domain) {
	t.Helper()
	server, err := dns()
	require.NoError(t, err)
	for _, r := range d.Records {
		if r.Purpose == "dkim" {
			server.Withdraw(r.Type, r.Name)
		}
	}
}

func (b *bundle) verify(key, name string) apiserver.Domain {
	b.t.Helper()
	return must[apiserver.Domain](b, http.StatusOK, http.MethodPost, domainsPath+"/"+name+"/verify", key, nil)
}

// statuses are those of the records, by purpose.
func statuses(d apiserver.Domain) map[string]string {
	all := map[string]string{}
	for _, r := range d.Records {
		all[r.Purpose] = r.Status
	}
	return all
}

func TestDomains_AreVerifiedByTheirRecords(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.domain(key, "Mail.verified.example.")
	require.Equal(t, "mail.verified.example", made.Name)
	require.Equal(t, "pending", made.Status)
	require.Len(t, made.Selectors, 2)
	require.Equal(t, map[string]string{"dkim": "pending", "spf": "pending", "returnPath": "pending", "dmarc": "pending"}, statuses(made))
	require.Contains(t, made.Records[0].Value, "v=DKIM1; k=rsa; p=")
	require.Equal(t, made.Selectors[0].Selector+"._domainkey.mail.verified.example", made.Records[0].Name)
	require.Contains(t, made.Records[1].Value, "v=DKIM1; k=ed25519; p=")
	require.True(t, made.Records[0].Required && made.Records[1].Required)
	require.False(t, made.Records[2].Required)

	looked := b.verify(key, made.Name)
	require.Equal(t, "pending", looked.Status)
	require.Equal(t, map[string]string{"dkim": "missing", "spf": "missing", "returnPath": "missing", "dmarc": "missing"}, statuses(looked))
	require.NotNil(t, looked.CheckedAt)

	publish(t, made)
	verified := b.verify(key, made.Name)
	require.Equal(t, "verified", verified.Status)
	require.NotNil(t, verified.VerifiedAt)
	require.Equal(t, "found", statuses(verified)["dkim"])
	require.Equal(t, "active", verified.Selectors[0].Status)
	require.Equal(t, []string{made.Records[0].Value}, verified.Records[0].Found)
	require.Equal(t, verified, must[apiserver.Domain](b, http.StatusOK, http.MethodGet, domainsPath+"/MAIL.verified.example", key, nil))
	items, _ := walk[apiserver.Domain](b, domainsPath+"?limit=1", key)
	require.Equal(t, []apiserver.Domain{verified}, items)

	withdraw(t, made)
	failing := b.verify(key, made.Name)
	require.Equal(t, "failing", failing.Status)
	require.NotNil(t, failing.FailingSince)
}

func TestDomains_Refused(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for name, want := range map[string]string{
		"": "body.name bad_length", "co.uk": "body.name public_suffix", "localhost": "body.name invalid_domain", "a b.com": "body.name invalid_domain",
		"127.0.0.1": "body.name invalid_domain", strings.Repeat("a", 401): "body.name bad_length", "mail@acme.com": "body.name invalid_domain",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodPost, domainsPath, key, map[string]string{"name": name}).fields(422, "validation_failed"), name)
	}
	b.domain(key, "twice.example")
	b.ask(http.MethodPost, domainsPath, key, `{"name":"TWICE.example"}`).problem(http.StatusConflict, "domain_exists")
	for _, path := range []string{"nobody.example", "..", "%00", "co.uk", strings.Repeat("x", 300)} {
		b.ask(http.MethodGet, domainsPath+"/"+path, key, nil).problem(http.StatusNotFound, "domain_not_found")
	}
	b.Domains.Keys = nil
	b.ask(http.MethodPost, domainsPath, key, `{"name":"keyless.example"}`).problem(http.StatusServiceUnavailable, "master_key_missing")
	b.ask(http.MethodPost, domainsPath+"/twice.example/keys/rotate", key, nil).problem(http.StatusServiceUnavailable, "master_key_missing")
}

// A name is verified by one tenant only, which the other one is told of.
func TestDomains_OfTwoTenants(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	second := b.tenant("second", tenant.Settings{})
	mine, theirs := b.domain(key, "both.example"), b.domain(second, "both.example")
	require.NotEqual(t, mine.Records[0].Value, theirs.Records[0].Value)
	publish(t, mine)
	require.Equal(t, "verified", b.verify(key, "both.example").Status)
	require.Equal(t, "pending", b.verify(second, "both.example").Status, "the keys of one prove nothing for the other")
	publish(t, theirs)
	b.ask(http.MethodPost, domainsPath+"/both.example/verify", second, nil).problem(http.StatusConflict, "domain_taken")
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, domainsPath+"/both.example", key, nil).Status)
	require.Equal(t, "verified", b.verify(second, "both.example").Status)
}

// A tenant can not pound a name server; another tenant's checks are not counted.
func TestDomains_ChecksAreBounded(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	second := b.tenant("second", tenant.Settings{})
	b.domain(key, "often.example")
	b.domain(second, "often.example")
	check := func(key string) answer { return b.ask(http.MethodPost, domainsPath+"/often.example/verify", key, nil) }
	made, full := 0, check(key)
	for ; full.Status == http.StatusOK; full = check(key) {
		made++
	}
	require.GreaterOrEqual(t, made, 60)
	full.problem(http.StatusTooManyRequests, "too_many_checks")
	require.Equal(t, "1", full.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, check(second).Status)
}

func TestDomains_Rotation(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	made := b.domain(key, "rotated.example")
	publish(t, made)
	b.verify(key, made.Name)
	rotated := must[apiserver.Domain](b, http.StatusOK, http.MethodPost, domainsPath+"/rotated.example/keys/rotate", key, nil)
	states := func(d apiserver.Domain) (all []string) {
		for _, s := range d.Selectors {
			all = append(all, s.Status)
		}
		return all
	}
	require.Equal(t, []string{"pending", "pending", "active", "active"}, states(rotated))
	require.Equal(t, "verified", rotated.Status)
	require.Equal(t, states(rotated), states(b.verify(key, made.Name)))
	publish(t, rotated)
	after := b.verify(key, made.Name)
	require.Equal(t, []string{"active", "active", "retired", "retired"}, states(after))
	require.NotNil(t, after.Selectors[2].EndsAt)
}

// Mail may be from a verified domain of the tenant as from its own, at once and no longer than it is one.
func TestDomains_AreSentFrom(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{})
	email := `{"to":"ada@example.com","subject":"x","text":"x","from":"news@sent.example"}`
	refused := func(key, want string) {
		t.Helper()
		a := b.ask(http.MethodPost, emailsPath, key, email)
		require.Equal(t, []string{"body.from sender_domain_not_allowed"}, a.fields(422, "validation_failed"))
		require.Contains(t, a.Body, want)
	}
	refused(key, "the sender address is on sent.example; it must be on the tenant's domain acme.com or on a verified domain of the tenant, of which it has none")
	made := b.domain(key, "sent.example")
	refused(key, "of which it has none")
	patch := `{"settings":{"fromEmail":"hello@sent.example"}}`
	require.Equal(t, []string{"body.settings.fromEmail sender_domain_not_allowed"},
		b.ask(http.MethodPatch, tenantsPath+"/acme-corp", b.operator, patch).fields(422, "validation_failed"))
	publish(t, made)
	b.verify(key, made.Name)
	b.post(key, email)
	refused(other, "of which it has none")
	require.Equal(t, http.StatusOK, b.ask(http.MethodPatch, tenantsPath+"/acme-corp", b.operator, patch).Status)
	b.post(key, `{"to":"ada@example.com","subject":"x","text":"x"}`)
	b.uploaded(key, `{"subject":"x","text":"x","from":"a@sent.example"}`, `{"to":"a@example.com"}`)
	a := b.ask(http.MethodPost, emailsPath, key, `{"to":"ada@example.com","subject":"x","text":"x","from":"a@elsewhere.example"}`)
	a.problem(422, "validation_failed")
	require.Contains(t, a.Body, "on a verified domain of the tenant (sent.example)")

	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, domainsPath+"/sent.example", key, nil).Status)
	refused(key, "of which it has none")
	a = b.ask(http.MethodPost, emailsPath, key, `{"to":"ada@example.com","subject":"x","text":"x"}`)
	require.Equal(t, []string{"body.from sender_domain_not_allowed"}, a.fields(422, "validation_failed"))
	require.Contains(t, a.Body, "the tenant's fromEmail is on sent.example")
}

// What the installation knows of itself is in the records.
func TestDomains_Advice(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	templates, err := engine()
	require.NoError(t, err)
	b.Server = b.process(temporalAway(t), templates, func(c *apiserver.Config) {
		c.Domains.SPF, c.Tracking.Base = []string{"include:spf.relay.example"}, "https://go.relay.example"
	})
	made := b.domain(key, "advised.example")
	server, err := dns()
	require.NoError(t, err)
	require.Equal(t, "v=spf1 include:spf.relay.example ~all", made.Records[2].Value)
	require.Equal(t, "go.relay.example", made.Records[5].Value)
	require.Equal(t, "click.advised.example", made.Records[5].Name)
	require.NoError(t, server.Publish("TXT", "advised.example", "v=spf1 include:spf.relay.example -all"))
	require.NoError(t, server.Publish("MX", "advised.example", "10 mx.advised.example."))
	require.NoError(t, server.Publish("TXT", "_dmarc.advised.example", "v=DMARC1; p=reject"))
	require.NoError(t, server.Publish("CNAME", "click.advised.example", "go.relay.example."))
	looked := b.verify(key, made.Name)
	require.Equal(t, map[string]string{"dkim": "missing", "spf": "found", "returnPath": "found", "dmarc": "found", "tracking": "found"}, statuses(looked))
	require.Equal(t, "pending", looked.Status)
}
