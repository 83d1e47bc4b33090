package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/store"
)

// newKeys are keys as cheap as the store lets them be.
func newKeys() []domain.NewKey {
	stem := id.New().String()
	return []domain.NewKey{
		{Key: domain.Key{Selector: stem + "-rsa", Algorithm: dkim.RSA, Record: "p=cnNh" + stem[:4]}, Private: []byte("sealed rsa")},
		{Key: domain.Key{Selector: stem + "-ed25519", Algorithm: dkim.Ed25519, Record: "k=ed25519; p=ZWQx"}, Private: []byte("sealed ed25519")},
	}
}

func (b *bundle) domain(tenantID, name string) store.Domain {
	b.t.Helper()
	d, err := b.CreateDomain(b.t.Context(), tenantID, id.New(), name, newKeys())
	require.NoError(b.t, err)
	return d
}

// fillDomains gives a tenant two domains.
func (b *bundle) fillDomains(tenantID string) {
	b.t.Helper()
	b.domain(tenantID, "one."+tenantID+".example")
	b.domain(tenantID, "two."+tenantID+".example")
}

// answers are what the DNS says of keys: their records, or that there are none.
func answers(d store.Domain, there bool) (all []domain.Answer) {
	for _, k := range d.Keys {
		a := domain.Answer{Question: domain.Question{Type: "TXT", Name: k.Name(d.Name)}, Values: []string{}, At: time.Now().UTC().Truncate(time.Microsecond)}
		if there {
			a.Values = []string{k.Record}
		}
		all = append(all, a)
	}
	return all
}

func (b *bundle) judge(d store.Domain, there bool) (after store.Domain, blocked bool) {
	b.t.Helper()
	after, blocked, err := b.JudgeDomain(b.t.Context(), store.Look{TenantID: d.TenantID, DomainID: d.ID, Answers: answers(d, there)})
	require.NoError(b.t, err)
	return after, blocked
}

// senders is what changes with what a tenant can send from.
func (b *bundle) senders(tenantID string) int64 {
	b.t.Helper()
	t, err := b.Tenant(b.t.Context(), tenantID)
	require.NoError(b.t, err)
	return t.Senders
}

func TestDomains_AreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	d := b.domain(acme, "mail.acme.com")
	require.Equal(t, domain.Pending, d.Status)
	require.Len(t, d.Keys, 2)
	require.Equal(t, dkim.RSA, d.Keys[0].Algorithm)
	got, err := b.Domain(t.Context(), acme, "mail.acme.com")
	require.NoError(t, err)
	require.Equal(t, d, got)

	_, err = b.CreateDomain(t.Context(), acme, id.New(), "mail.acme.com", newKeys())
	requireFault(t, err, fault.Conflict, "domain_exists")
	_, err = b.Domain(t.Context(), other, "mail.acme.com")
	requireFault(t, err, fault.NotFound, "domain_not_found")
	_, err = b.DomainByID(t.Context(), other, d.ID)
	requireFault(t, err, fault.NotFound, "domain_not_found")
	_, err = b.RotateDomainKeys(t.Context(), other, store.KeyRotation{Name: d.Name, Keys: newKeys()})
	requireFault(t, err, fault.NotFound, "domain_not_found")
	_, err = b.DeleteDomain(t.Context(), other, d.Name)
	requireFault(t, err, fault.NotFound, "domain_not_found")
	_, _, err = b.JudgeDomain(t.Context(), store.Look{TenantID: other, DomainID: d.ID, Answers: answers(d, true)})
	requireFault(t, err, fault.NotFound, "domain_not_found")
	_, _, err = b.ListDomains(t.Context(), acme, "no cursor", 10)
	requireCursorRefused(t, err)

	theirs := b.domain(other, "mail.acme.com") // who has it is told by the DNS
	items, next, err := b.ListDomains(t.Context(), acme, "", 10)
	require.NoError(t, err)
	require.Equal(t, []store.Domain{d}, items)
	require.Empty(t, next)
	require.NotEqual(t, d.Keys[0].Selector, theirs.Keys[0].Selector)
	now, _ := b.judge(theirs, true)
	require.Equal(t, domain.Verified, now.Status)
	for tenantID, want := range map[string]int{acme: 0, other: 1} {
		names, err := b.SenderDomains(t.Context(), tenantID)
		require.NoError(t, err)
		require.Len(t, names, want, tenantID)
		keys, err := b.SigningKeys(t.Context(), tenantID)
		require.NoError(t, err)
		require.Len(t, keys, 2*want, tenantID)
	}
}

func TestDomains_List(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	var made []uuid.UUID
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		made = append([]uuid.UUID{b.domain(acme, name).ID}, made...)
	}
	var listed []uuid.UUID
	for _, page := range pages(t, func(after string) ([]store.Domain, string, error) { return b.ListDomains(t.Context(), acme, after, 2) }) {
		for _, d := range page {
			require.Len(t, d.Keys, 2)
			listed = append(listed, d.ID)
		}
	}
	require.Equal(t, made, listed)
	b.exec(`INSERT INTO domains (tenant_id, id, name, check_at, created_at, updated_at)
		SELECT $1, gen_random_uuid(), 'n' || n || '.example', now(), now(), now() FROM generate_series(1, 97) n`, acme)
	_, err := b.CreateDomain(t.Context(), acme, id.New(), "more.example", newKeys())
	requireFault(t, err, fault.Conflict, "too_many_domains")
}

// kinds are the types of a tenant's events that tell of domains, with what they tell.
func (b *bundle) domainEvents(tenantID string, count int) (kinds []event.Type, data []*store.EventDomain) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		kinds, data = nil, nil
		for _, e := range b.events(tenantID) {
			kinds, data = append(kinds, e.Type), append(data, e.Domain)
		}
		return len(kinds) >= count
	}, 20*time.Second, 5*time.Millisecond)
	return kinds, data
}

// What is found has its consequences and their events in one transaction, and the tenant's row says that it was changed.
func TestJudgeDomain_FromPendingToLost(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	d := b.domain(acme, "mail.acme.com")
	now, _ := b.judge(d, false)
	require.Equal(t, domain.Pending, now.Status)
	require.NotNil(t, now.CheckedAt)
	require.WithinDuration(t, now.CheckedAt.Add(time.Minute), now.CheckAt, time.Second)
	require.Equal(t, d.UpdatedAt, now.UpdatedAt, "a look is no change")
	require.Zero(t, b.senders(acme))

	now, _ = b.judge(d, true)
	require.Equal(t, domain.Verified, now.Status)
	require.WithinDuration(t, now.CheckedAt.Add(6*time.Hour), now.CheckAt, time.Second)
	verified := b.senders(acme)
	require.NotZero(t, verified)
	keys, err := b.SigningKeys(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, "sealed rsa", string(keys[0].Private))
	require.Equal(t, d.ID, keys[0].DomainID)

	now, _ = b.judge(d, false)
	require.Equal(t, domain.Failing, now.Status)
	require.Equal(t, verified, b.senders(acme), "it is sent from as before")
	b.exec(`UPDATE domains SET failing_since = failing_since - interval '73 hours'`)
	now, _ = b.judge(d, false)
	require.Equal(t, domain.Lost, now.Status)
	require.Zero(t, b.senders(acme))
	names, err := b.SenderDomains(t.Context(), acme)
	require.NoError(t, err)
	require.Empty(t, names)

	now, _ = b.judge(d, true)
	require.Equal(t, domain.Verified, now.Status)
	require.Greater(t, b.senders(acme), verified)
	kinds, data := b.domainEvents(acme, 4)
	require.Equal(t, []event.Type{event.DomainVerified, event.DomainFailing, event.DomainLost, event.DomainVerified}, kinds)
	require.Equal(t, "mail.acme.com", data[1].Domain)
	require.Len(t, data[1].Missing, 2)
	require.NotNil(t, data[1].LostAt)
	require.Empty(t, data[0].Missing)
}

// A domain that one tenant has verified is not verified by another, whatever its DNS says.
func TestJudgeDomain_OneTenantOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	mine, theirs := b.domain(acme, "mail.acme.com"), b.domain(other, "mail.acme.com")
	first, blocked := b.judge(mine, true)
	require.Equal(t, domain.Verified, first.Status)
	require.False(t, blocked)
	second, blocked := b.judge(theirs, true)
	require.Equal(t, domain.Pending, second.Status)
	require.True(t, blocked)
	require.Nil(t, second.Keys[0].SeenAt)
	_, err := b.DeleteDomain(t.Context(), acme, "mail.acme.com")
	require.NoError(t, err)
	require.Zero(t, b.senders(acme))
	second, blocked = b.judge(theirs, true)
	require.Equal(t, domain.Verified, second.Status)
	require.False(t, blocked)
}

// Of two that find it at the same time one has it.
func TestJudgeDomain_AtTheSameTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	both := []store.Domain{b.domain(acme, "mail.acme.com"), b.domain(other, "mail.acme.com")}
	_ = inParallel(2, func(i int) error {
		_, _, err := b.JudgeDomain(context.WithoutCancel(t.Context()), store.Look{TenantID: both[i].TenantID, DomainID: both[i].ID, Answers: answers(both[i], true)})
		return err
	})
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM domains WHERE status = 'verified'`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM tenants WHERE senders > 0`))
}

// Until the new records are seen mail is signed with the old keys, and then with the new ones.
func TestRotateDomainKeys(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	d := b.domain(acme, "mail.acme.com")
	b.judge(d, true)
	before := b.senders(acme)
	rotated, err := b.RotateDomainKeys(t.Context(), acme, store.KeyRotation{Name: d.Name, Keys: newKeys()})
	require.NoError(t, err)
	require.Len(t, rotated.Keys, 4)
	again, err := b.RotateDomainKeys(t.Context(), acme, store.KeyRotation{Name: d.Name, Keys: newKeys()})
	require.NoError(t, err)
	require.Len(t, again.Keys, 4, "those that were never seen are replaced")
	require.NotEqual(t, rotated.Keys[0].Selector, again.Keys[0].Selector)
	selectors := func() (all []string) {
		keys, err := b.SigningKeys(t.Context(), acme)
		require.NoError(t, err)
		for _, k := range keys {
			all = append(all, k.Selector)
		}
		return all
	}
	require.Equal(t, []string{d.Keys[0].Selector, d.Keys[1].Selector}, selectors())
	require.Equal(t, before, b.senders(acme))

	now, _ := b.judge(again, true)
	require.Equal(t, domain.Verified, now.Status)
	require.Equal(t, []string{again.Keys[0].Selector, again.Keys[1].Selector}, selectors())
	require.Greater(t, b.senders(acme), before)
	b.exec(`UPDATE domain_keys SET retired_at = retired_at - interval '8 days' WHERE retired_at IS NOT NULL`)
	now, _ = b.judge(now, true)
	require.Len(t, now.Keys, 2)
}

// A domain that nobody looks after is given to one who starts its workflow.
func TestClaimUnwatchedDomains(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, "leaving")
	d := b.domain(acme, "mail.acme.com")
	b.domain("leaving", "mail.leaving.example")
	_, err := b.BeginDeletion(t.Context(), "leaving", nil)
	require.NoError(t, err)
	claim := func() []store.DomainRef {
		refs, err := b.ClaimUnwatchedDomains(t.Context(), time.Now(), time.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		return refs
	}
	require.Equal(t, []store.DomainRef{{TenantID: acme, ID: d.ID}}, claim())
	require.Empty(t, claim())
}

// The request path can neither say that a domain is verified nor read a private key.
func TestDomains_RequestsCanNotVerify(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.fillDomains(acme)
	for _, sql := range []string{
		`UPDATE domains SET status = 'verified', verified_at = now()`, `UPDATE domains SET name = 'bank.example'`, `DELETE FROM domains`,
		`SELECT private_key FROM domain_keys`, `UPDATE domain_keys SET seen_at = now()`, `UPDATE tenants SET senders = 1`,
	} {
		b.requireRefused("mailtura_request", sql)
	}
}
