package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/mail/dkim"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"mail.acme.com": "mail.acme.com", "MAIL.Acme.COM": "mail.acme.com", "acme.co.uk.": "acme.co.uk",
		"münchen.example": "xn--mnchen-3ya.example", "acme.test": "acme.test",
	} {
		got, err := domain.ParseName(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for in, code := range map[string]string{
		"": "invalid_domain", "acme": "invalid_domain", "localhost": "invalid_domain", "https://acme.com": "invalid_domain", "acme.com/x": "invalid_domain",
		"a b.com": "invalid_domain", "127.0.0.1": "invalid_domain", "[::1]": "invalid_domain", "*.acme.com": "invalid_domain", "a_b.acme.com": "invalid_domain",
		"acme..com": "invalid_domain", "acme.com..": "invalid_domain", "a\x00b.com": "invalid_domain", "-a.com": "invalid_domain",
		strings.Repeat("abcdefghi.", 22) + "com": "invalid_domain",
		"co.uk":                                  "public_suffix", "CO.UK": "public_suffix", "github.io": "public_suffix", "com.": "invalid_domain",
	} {
		_, err := domain.ParseName(in)
		f, ok := fault.As(err)
		require.True(t, ok, in)
		require.Equal(t, code, f.Code, in)
	}
}

const tracking = "click.mail.acme.com"

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// newDomain is a domain whose keys are not seen yet.
func newDomain() domain.Domain {
	return domain.Domain{Name: "mail.acme.com", Status: domain.Pending, Keys: generation(1)}
}

func generation(n int) []domain.Key {
	tag := string(rune('a' + n))
	return []domain.Key{
		{Selector: tag + "-rsa", Algorithm: dkim.RSA, Generation: n, Record: "v=DKIM1; k=rsa; p=cnNh" + tag + "AAA"},
		{Selector: tag + "-ed", Algorithm: dkim.Ed25519, Generation: n, Record: "v=DKIM1; k=ed25519; p=ZWQx" + tag + "AAA"},
	}
}

// zone is what the DNS has: texts by type and name. "!" is no answer.
type zone map[string]string

// all has every record of a domain.
func all(d domain.Domain) zone {
	z := zone{}
	for _, k := range d.Keys {
		z["TXT "+k.Name(d.Name)] = k.Record
	}
	return z
}

func (z zone) answers(d domain.Domain, at time.Time) (answers []domain.Answer) {
	for _, q := range d.Questions("") {
		a := domain.Answer{Question: q, At: at}
		switch text, there := z[q.Type+" "+q.Name]; {
		case text == "!":
			a.Failed = true
		case there:
			a.Values = strings.Split(text, "|")
		}
		answers = append(answers, a)
	}
	return answers
}

func TestJudge_Life(t *testing.T) {
	t.Parallel()
	d := newDomain()
	there, nothing := all(d), zone{}
	one := zone{"TXT a-rsa": "x", "TXT " + d.Keys[0].Name(d.Name): d.Keys[0].Record}
	away := zone{"TXT " + d.Keys[0].Name(d.Name): "!", "TXT " + d.Keys[1].Name(d.Name): "!"}
	at := noon
	for i, step := range []struct {
		zone   zone
		after  time.Duration
		status domain.Status
		event  event.Type
		pause  time.Duration
	}{
		{nothing, 0, domain.Pending, "", time.Minute},
		{one, time.Minute, domain.Pending, "", 5 * time.Minute},
		{away, time.Minute, domain.Pending, "", 15 * time.Minute},
		{nothing, time.Minute, domain.Pending, "", time.Hour},
		{there, time.Minute, domain.Verified, event.DomainVerified, 6 * time.Hour},
		{there, time.Hour, domain.Verified, "", 6 * time.Hour},
		{away, time.Hour, domain.Verified, "", 6 * time.Hour},
		{one, time.Hour, domain.Failing, event.DomainFailing, time.Hour},
		{away, time.Hour, domain.Failing, "", time.Hour},
		{there, 0, domain.Verified, event.DomainVerified, 6 * time.Hour},
		{nothing, 0, domain.Failing, event.DomainFailing, time.Hour},
		{nothing, domain.LostAfter - time.Second, domain.Failing, "", time.Hour},
		{away, time.Hour, domain.Failing, "", time.Hour},
		{nothing, 0, domain.Lost, event.DomainLost, 6 * time.Hour},
		{away, 0, domain.Lost, "", 6 * time.Hour},
		{nothing, 100 * time.Hour, domain.Lost, "", 6 * time.Hour},
		{there, 0, domain.Verified, event.DomainVerified, 6 * time.Hour},
	} {
		at = at.Add(step.after)
		var happened event.Type
		d, happened = d.Judge(step.zone.answers(d, at), at, true)
		require.Equal(t, step.status, d.Status, "step %d", i)
		require.Equal(t, step.event, happened, "step %d", i)
		require.Equal(t, step.pause, d.Pause(), "step %d", i)
		require.Equal(t, step.status == domain.Failing || step.status == domain.Lost, d.FailingSince != nil)
	}
	for range 200 {
		d.Status, d.Looks = domain.Pending, d.Looks+1
	}
	require.Equal(t, 6*time.Hour, d.Pause(), "who never comes is not waited for for ever")
}

// While another tenant has it verified, records prove nothing.
func TestJudge_Blocked(t *testing.T) {
	t.Parallel()
	d, happened := newDomain().Judge(all(newDomain()).answers(newDomain(), noon), noon, false)
	require.Equal(t, domain.Pending, d.Status)
	require.Empty(t, happened)
	require.True(t, d.Complete())
	require.Nil(t, d.Keys[0].SeenAt)
}

func TestJudge_Rotation(t *testing.T) {
	t.Parallel()
	d, _ := newDomain().Judge(all(newDomain()).answers(newDomain(), noon), noon, true)
	require.False(t, d.Rotating())
	old := all(d)
	d.Keys, d.Looks = append(generation(2), d.Keys...), 0
	require.True(t, d.Rotating())
	half := all(d)
	delete(half, "TXT "+d.Keys[0].Name(d.Name))
	for _, z := range []zone{old, half} { // both records of the new ones are needed
		d, _ = d.Judge(z.answers(d, noon), noon, true)
		require.Equal(t, domain.Verified, d.Status)
		require.True(t, d.Rotating())
		require.False(t, d.Keys[0].Active())
		require.True(t, d.Keys[2].Active())
		required := map[string]bool{}
		for _, r := range d.Records(domain.Advice{}, "") {
			required[r.Name] = r.Required
		}
		require.False(t, required[d.Keys[0].Name(d.Name)], "what is not used yet is not required")
		require.True(t, required[d.Keys[2].Name(d.Name)])
	}
	require.Equal(t, 5*time.Minute, d.Pause())
	z := all(d)
	d, happened := d.Judge(z.answers(d, noon), noon.Add(time.Hour), true)
	require.Empty(t, happened)
	require.True(t, d.Keys[0].Active())
	require.False(t, d.Keys[2].Active())
	delete(z, "TXT "+d.Keys[2].Name(d.Name)) // of no consequence any more
	d, happened = d.Judge(z.answers(d, noon), noon.Add(2*time.Hour), true)
	require.Empty(t, happened)
	require.Len(t, d.Keys, 4)
	d, _ = d.Judge(z.answers(d, noon), noon.Add(time.Hour+domain.Overlap), true)
	require.Len(t, d.Keys, 2)
}

func TestRecords_Found(t *testing.T) {
	t.Parallel()
	d := newDomain()
	rsa := "TXT " + d.Keys[0].Name(d.Name)
	advice := domain.Advice{SPF: []string{"include:spf.relay.example"}, Tracking: "go.relay.example"}
	for name, c := range map[string]struct {
		purpose domain.Purpose
		at      string
		text    string
		want    domain.RecordStatus
	}{
		"as it was given":          {domain.DKIM, rsa, d.Keys[0].Record, domain.Found},
		"with other spaces":        {domain.DKIM, rsa, " v = DKIM1;\tp=cnN hb\r\n AAA ; ; ", domain.Found},
		"with other tags":          {domain.DKIM, rsa, "v=DKIM1; t=s; n=hello; h=sha1:sha256; s=email; p=cnNhbAAA", domain.Found},
		"no DKIM":                  {domain.DKIM, rsa, "v=spf1 -all", domain.Different},
		"another key":              {domain.DKIM, rsa, "v=DKIM1; p=cnNhbAAB", domain.Different},
		"revoked":                  {domain.DKIM, rsa, "v=DKIM1; p=", domain.Different},
		"of another kind":          {domain.DKIM, rsa, "v=DKIM1; k=ed25519; p=cnNhbAAA", domain.Different},
		"of another version":       {domain.DKIM, rsa, "v=DKIM2; p=cnNhbAAA", domain.Different},
		"for another hash":         {domain.DKIM, rsa, "v=DKIM1; h=sha1; p=cnNhbAAA", domain.Different},
		"for another service":      {domain.DKIM, rsa, "v=DKIM1; s=tlsrpt; p=cnNhbAAA", domain.Different},
		"twice the same tag":       {domain.DKIM, rsa, "v=DKIM1; p=cnNhbAAA; p=cnNhbAAA", domain.Different},
		"two records":              {domain.DKIM, rsa, d.Keys[0].Record + "|v=DKIM1; p=AAAA", domain.Different},
		"in quotes":                {domain.DKIM, rsa, `"` + d.Keys[0].Record + `"`, domain.Different},
		"SPF":                      {domain.SPF, "TXT mail.acme.com", "google-site-verification=1|V=SPF1 +Include:SPF.relay.example ?all", domain.Found},
		"SPF of others":            {domain.SPF, "TXT mail.acme.com", "v=spf1 mx ~all", domain.Different},
		"two SPF":                  {domain.SPF, "TXT mail.acme.com", "v=spf1 include:spf.relay.example -all|v=spf1 -all", domain.Different},
		"what only begins like":    {domain.SPF, "TXT mail.acme.com", "v=spf10 include:spf.relay.example", domain.Missing},
		"a mail server":            {domain.ReturnPath, "MX mail.acme.com", "10 mx.acme.com.", domain.Found},
		"no mail":                  {domain.ReturnPath, "MX mail.acme.com", "0 .", domain.Different},
		"DMARC":                    {domain.DMARC, "TXT _dmarc.mail.acme.com", "other|v=DMARC1; p=reject", domain.Found},
		"DMARC above":              {domain.DMARC, "TXT _dmarc.acme.com", "v=DMARC1; p=quarantine", domain.Found},
		"a bad policy":             {domain.DMARC, "TXT _dmarc.mail.acme.com", "v=DMARC1; p=maybe", domain.Different},
		"two policies":             {domain.DMARC, "TXT _dmarc.mail.acme.com", "v=DMARC1; p=none|v=DMARC1; p=reject", domain.Different},
		"the installation":         {domain.Tracking, "CNAME " + tracking, "GO.relay.example", domain.Found},
		"another":                  {domain.Tracking, "CNAME " + tracking, "www.acme.com", domain.Different},
		"no answer":                {domain.DKIM, rsa, "!", domain.Unknown},
		"nothing":                  {domain.DKIM, "TXT elsewhere", "x", domain.Missing},
		"nothing of a mail server": {domain.ReturnPath, "TXT elsewhere", "x", domain.Missing},
	} {
		looked, _ := d.Judge(zone{c.at: c.text}.answers(d, noon), noon, true)
		records := looked.Records(advice, "click.elsewhere.example")
		require.Len(t, records, 6)
		for _, r := range records {
			require.NotEqual(t, domain.NotLooked, r.Status)
			require.Equal(t, noon, *r.CheckedAt)
			require.Equal(t, r.Purpose == domain.DKIM, r.Required)
			if r.Purpose == c.purpose && r.Name != d.Keys[1].Name(d.Name) {
				require.Equal(t, c.want, r.Status, "%s: %v", name, r.Found)
			}
		}
	}
}

func TestRecords_Values(t *testing.T) {
	t.Parallel()
	values := map[domain.Purpose]string{}
	for _, r := range newDomain().Records(domain.Advice{}, "") {
		require.Equal(t, domain.NotLooked, r.Status)
		values[r.Purpose] = r.Value
	}
	require.Equal(t, "v=spf1 mx ~all", values[domain.SPF])
	require.Equal(t, "v=DMARC1; p=none", values[domain.DMARC])
	require.NotContains(t, values, domain.Tracking, "no name leads to this installation")
	require.Equal(t, "go.mail.acme.com", domain.TrackingName("mail.acme.com", "go.mail.acme.com"))
	require.Equal(t, "click.mail.acme.com", domain.TrackingName("mail.acme.com", "gomail.acme.com"))
}

func TestNewKeys(t *testing.T) {
	t.Parallel()
	ring, err := keyring.Parse(keyring.NewKey())
	require.NoError(t, err)
	owner := domain.Owner{TenantID: "acme-corp", DomainID: "dom_1", Name: "mail.acme.com"}
	keys, err := domain.NewKeys(ring, owner)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for i, k := range keys {
		require.Equal(t, dkim.Algorithms[i], k.Algorithm)
		require.Regexp(t, `^mt[a-z2-7]{8}-(rsa|ed25519)$`, k.Selector)
		opened, err := domain.OpenKey(ring, owner, k.Selector, k.Private)
		require.NoError(t, err)
		record, err := opened.Record()
		require.NoError(t, err)
		require.Equal(t, k.Record, record)
		for _, elsewhere := range []domain.Owner{{"other", "dom_1", "mail.acme.com"}, {"acme-corp", "dom_2", "mail.acme.com"}} {
			_, err = domain.OpenKey(ring, elsewhere, k.Selector, k.Private)
			require.Error(t, err, "it opens in its place only")
		}
		_, err = domain.OpenKey(nil, owner, k.Selector, k.Private)
		require.Error(t, err)
	}
	_, err = domain.NewKeys(nil, owner)
	f, _ := fault.As(err)
	require.Equal(t, "master_key_missing", f.Code)
}

// Whatever stands in the DNS, a record says the same each time, and only our key is our key.
func FuzzRecords(f *testing.F) {
	d := newDomain()
	f.Add(d.Keys[0].Record)
	f.Add("v=DKIM1; k=rsa; p=")
	f.Add("v=spf1 include:spf.relay.example ~all")
	f.Add(" ; =; v==; p=cnNhbAAA;;")
	f.Add("v=DMARC1; p=none; rua=mailto:a@b.example")
	f.Fuzz(func(t *testing.T, text string) {
		z := zone{}
		for _, q := range d.Questions("") {
			z[q.Type+" "+q.Name] = text
		}
		answers := z.answers(d, noon)
		once, _ := d.Judge(answers, noon, true)
		twice, _ := d.Judge(answers, noon, true)
		require.Equal(t, once, twice)
		if once.Status == domain.Verified {
			t.Fatalf("%q is said to be two keys", text)
		}
		for _, r := range once.Records(domain.Advice{SPF: []string{"include:x"}, Tracking: "x"}, "") {
			if r.Purpose == domain.DKIM && r.Status == domain.Found && !strings.Contains(strings.Join(strings.Fields(text), ""), strings.SplitAfter(r.Value, "p=")[1]) {
				t.Fatalf("%q is said to be the key %q", text, r.Value)
			}
		}
	})
}
