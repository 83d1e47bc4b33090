package activities_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	verifier "github.com/emersion/go-msgauth/dkim"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// zone is a DNS with these texts by name. A nil zone does not answer.
type zone map[string]string

// Look answers.
func (z zone) Look(_ context.Context, questions []domain.Question) (answers []domain.Answer) {
	for _, q := range questions {
		a := domain.Answer{Question: q, Values: []string{}, Failed: z == nil, At: time.Now().UTC()}
		if text, there := z[q.Name]; there && q.Type == "TXT" {
			a.Values = []string{text}
		}
		answers = append(answers, a)
	}
	return answers
}

// domain makes a domain of the tenant, and the zone that has its records.
func (b *bundle) domain(ring *keyring.Keyring, name string) (store.Domain, zone) {
	b.t.Helper()
	domainID := id.New()
	keys, err := domain.NewKeys(ring, domain.Owner{TenantID: acme, DomainID: id.Domain.Format(domainID), Name: name})
	require.NoError(b.t, err)
	d, err := b.Store.CreateDomain(b.t.Context(), acme, domainID, name, keys)
	require.NoError(b.t, err)
	records := zone{}
	for _, k := range d.Keys {
		records[k.Name(name)] = k.Record
	}
	return d, records
}

// check runs CheckDomain against a zone.
func (b *bundle) check(domainID uuid.UUID, dns activities.DNS) (result activities.CheckDomainResult) {
	b.t.Helper()
	domains := &activities.Domains{Store: b.Store, DNS: dns, Log: slog.New(slog.DiscardHandler)}
	value, err := newActivityEnvironment(b.t, domains).ExecuteActivity(domains.CheckDomain, activities.CheckDomainInput{TenantID: acme, DomainID: domainID})
	require.NoError(b.t, err)
	require.NoError(b.t, value.Get(&result))
	return result
}

// stale lets a domain be one that nobody has just looked at.
func (b *bundle) stale() { b.exec(`UPDATE domains SET checked_at = checked_at - interval '1 hour'`) }

func newRing(t *testing.T) *keyring.Keyring {
	t.Helper()
	ring, err := keyring.Parse(keyring.NewKey())
	require.NoError(t, err)
	return ring
}

func TestCheckDomain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	d, records := b.domain(newRing(t), "mail.acme.com")
	got := b.check(d.ID, zone{})
	require.Equal(t, "pending", got.Status)
	require.Equal(t, 2, got.Missing)
	require.WithinDuration(t, time.Now().Add(time.Minute), got.NextAt, 10*time.Second)
	require.Equal(t, got, b.check(d.ID, records), "somebody has just looked")
	b.stale()
	got = b.check(d.ID, records)
	require.Equal(t, "verified", got.Status)
	require.Zero(t, got.Missing)
	b.stale()
	require.Equal(t, "verified", b.check(d.ID, zone(nil)).Status, "nothing follows from no answer")
	b.stale()
	require.Equal(t, "failing", b.check(d.ID, zone{}).Status)
	_, err := b.Store.DeleteDomain(t.Context(), acme, "mail.acme.com")
	require.NoError(t, err)
	require.Empty(t, b.check(d.ID, records).Status)
}

// What the database can not do now is tried again.
func TestCheckDomain_TroubleOfOurs(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	d, records := b.domain(newRing(t), "mail.acme.com")
	b.Store.Close()
	domains := &activities.Domains{Store: b.Store, DNS: records, Log: slog.New(slog.DiscardHandler)}
	_, err := newActivityEnvironment(t, domains).ExecuteActivity(domains.CheckDomain, activities.CheckDomainInput{TenantID: acme, DomainID: d.ID})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.False(t, failure.NonRetryable())
}

// Mail from a verified domain has a signature of each of its keys, by which a receiver verifies
// it; when the domain is gone, the next delivery knows.
func TestDeliver_SignsForVerifiedDomains(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	ring := newRing(t)
	folder, err := dkim.Generate(dkim.Ed25519, "acme.com", "folder")
	require.NoError(t, err)
	b.Signers = activities.NewSigners(b.Store, ring, dkim.Keys{"acme.com": {folder}})
	d, records := b.domain(ring, "mail.acme.com")
	signed := func(to, from string) (domains []string) {
		e := newEmail(to)
		e.From = address.Address{Addr: "a@" + from}
		require.Equal(t, 1, b.deliver(b.dispatch(e)).Sent)
		found, err := verifier.VerifyWithOptions(bytes.NewReader(b.raw(b.mails()[to])), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if name == "folder._domainkey.acme.com" {
				record, err := folder.Record()
				return []string{record}, err
			}
			if text, ok := records[name]; ok {
				return []string{text}, nil
			}
			return nil, errors.New("no such record")
		}})
		require.NoError(t, err)
		for _, v := range found {
			require.NoError(t, v.Err)
			require.Contains(t, v.HeaderKeys, "From")
			domains = append(domains, v.Domain)
		}
		return domains
	}
	require.Equal(t, []string{"acme.com"}, signed("pending@example.com", "mail.acme.com"), "by the installation, for the domain above")
	require.Equal(t, "verified", b.check(d.ID, records).Status)
	require.Equal(t, []string{"mail.acme.com", "mail.acme.com"}, signed("verified@example.com", "mail.acme.com"))
	require.Equal(t, []string{"acme.com"}, signed("own@example.com", "acme.com"))
	require.Empty(t, signed("other@example.com", "elsewhere.example"))
	_, err = b.Store.DeleteDomain(t.Context(), acme, "mail.acme.com")
	require.NoError(t, err)
	require.Equal(t, []string{"acme.com"}, signed("deleted@example.com", "mail.acme.com"))
}

// Where the keys can not be opened mail waits for a worker that can: it is not sent unsigned, and uses up no attempt.
func TestDeliver_WithoutTheMasterKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	d, records := b.domain(newRing(t), "mail.acme.com")
	require.Equal(t, "verified", b.check(d.ID, records).Status)
	e := newEmail("ada@example.com")
	in := b.dispatch(e)
	for _, ring := range []*keyring.Keyring{nil, newRing(t)} {
		b.Signers = activities.NewSigners(b.Store, ring, nil)
		_, err := b.try(t.Context(), in)
		var failure *temporal.ApplicationError
		require.ErrorAs(t, err, &failure)
		require.False(t, failure.NonRetryable())
	}
	require.Empty(t, b.mails())
	require.Zero(t, b.recipients(e)["ada@example.com"].Attempts)
}

// raw is a message as the inbox has taken it.
func (b *bundle) raw(m mail) []byte {
	b.t.Helper()
	response, err := http.Get(b.inbox.URL() + "/api/v1/messages/" + m.ID + "/source")
	require.NoError(b.t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return raw
}
