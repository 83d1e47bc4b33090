package webhook_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/webhook"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	const https, port = "begins with https://", "has a port other than 443 and 8443"
	for url, want := range map[string][2]string{ // in production, and where loopback is allowed
		"https://acme.com/hook?x=1":      {},
		"https://acme.com":               {},
		"https://acme.com:8443/":         {},
		"https://acme.com:443/":          {},
		"https://acme.com:22/":           {port, ""},
		"https://[2606:4700::1111]/":     {},
		"http://acme.com/":               {https, https},
		"http://127.0.0.1:9000/hook":     {https, ""},
		"http://localhost/":              {https, ""},
		"http://[::1]:80/":               {https, ""},
		"http://127.0.0.1.nip.io/":       {https, https},
		"http://localhost.evil.com/":     {https, https},
		"ftp://acme.com/":                {https, https},
		"//acme.com/":                    {https, https},
		"acme.com":                       {https, https},
		"":                               {https, https},
		"https:acme.com":                 {"has no host", "has no host"},
		"https:///x":                     {"has no host", "has no host"},
		"https://:443/":                  {"has no host", "has no host"},
		"https://user@acme.com/":         {"has a user or a password, which do not belong into a URL", "has a user or a password, which do not belong into a URL"},
		"https://u:p@acme.com/":          {"has a user or a password, which do not belong into a URL", "has a user or a password, which do not belong into a URL"},
		"https://acme.com/#x":            {"has a fragment, which is never sent", "has a fragment, which is never sent"},
		"https://acme.com/#":             {"has a fragment, which is never sent", "has a fragment, which is never sent"},
		"https://acme.com/a b":           {"is not a URL", "is not a URL"},
		"https://acme.com/\r\nX: y":      {"is not a URL", "is not a URL"},
		"https://acme.com:99999999/":     {port, ""},
		"https://acme.com:x/":            {"is not a URL", "is not a URL"},
		"https://" + long() + ".com/":    {"is not a URL", "is not a URL"},
		"https://acme.com/%zz":           {"is not a URL", "is not a URL"},
		"javascript:alert(1)":            {https, https},
		"HTTPS://ACME.com/":              {},
		"https://acme.com\\@10.0.0.1/":   {"is not a URL", "is not a URL"},
		"https://acme.com/hook\x00":      {"is not a URL", "is not a URL"},
		"https://xn--bcher-kva.example/": {},
	} {
		require.Equal(t, want, [2]string{webhook.CheckURL(url, false), webhook.CheckURL(url, true)}, "%q", url)
	}
}

func long() string { return strings.Repeat("a", webhook.MaxURL) }

func TestAgain_TheSchedule(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]string{1: "5s", 2: "5m", 3: "30m", 4: "2h", 5: "5h", 6: "10h", 7: "14h", 8: "20h"} {
		wait, err := time.ParseDuration(want)
		require.NoError(t, err)
		got, more := webhook.Again(attempt, 0)
		require.True(t, more)
		require.Equal(t, wait, got)
		most, _ := webhook.Again(attempt, 0.999)
		require.Greater(t, most, wait)
		require.LessOrEqual(t, most, wait+wait/10)
	}
	for _, attempt := range []int{-1, 0, 9, 100} {
		_, more := webhook.Again(attempt, 0)
		require.False(t, more, attempt)
	}
	require.Equal(t, 9, webhook.Attempts)
}

func TestRest_GrowsToAMinute(t *testing.T) {
	t.Parallel()
	var rests []float64
	for failures := range 14 {
		rests = append(rests, webhook.Rest(failures).Seconds())
	}
	require.Equal(t, []float64{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60}, rests)
	require.Equal(t, time.Minute, webhook.Rest(1<<30))
}

// What we sign, the library that receivers use finds good, with each of the secrets.
func TestSign_TheOfficialLibraryVerifies(t *testing.T) {
	t.Parallel()
	older, newer := webhook.NewSecret(), webhook.NewSecret()
	now, payload := time.Now(), []byte(`{"type":"email.sent"}`)
	signature, err := webhook.Sign("evt_1", now, payload, newer, older)
	require.NoError(t, err)
	header := http.Header{}
	header.Set("webhook-id", "evt_1")
	header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	header.Set("webhook-signature", signature)
	for _, secret := range []webhook.Secret{older, newer} {
		receiver, err := standardwebhooks.NewWebhook(secret.Text())
		require.NoError(t, err)
		require.NoError(t, receiver.Verify(payload, header))
		require.Error(t, receiver.Verify(append(payload, ' '), header))
	}
	stranger, err := standardwebhooks.NewWebhook(webhook.NewSecret().Text())
	require.NoError(t, err)
	require.Error(t, stranger.Verify(payload, header))
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	read, err := webhook.ParseSecret(secret.Text())
	require.NoError(t, err)
	require.Equal(t, secret, read)
	for _, text := range []string{
		"", "whsec_", "whsec_!!!", secret.Text()[1:], "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)),
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)), secret.Text() + "\n", "whsec_" + base64.RawURLEncoding.EncodeToString(secret),
	} {
		_, err := webhook.ParseSecret(text)
		require.EqualError(t, err, "a secret is whsec_ and 24 to 64 bytes in base64", "%q", text)
	}
	for _, printed := range []string{fmt.Sprint(secret), fmt.Sprintf("%v %s %#v", secret, secret, secret)} {
		require.NotContains(t, printed, secret.Text()[6:])
		require.Contains(t, printed, "whsec_…")
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(webhook.NewSecret().Text())
	f.Add("whsec_AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if secret, err := webhook.ParseSecret(text); err == nil {
			require.Equal(t, text, secret.Text())
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://acme.com:8443/x?y#z")
	f.Add("http://[::1%25eth0]/")
	f.Fuzz(func(t *testing.T, text string) {
		if webhook.CheckURL(text, false) == "" {
			require.True(t, strings.HasPrefix(strings.ToLower(text), "https://"), "%q", text)
			require.NotContains(t, text, "#")
		}
	})
}

func TestOpenSecrets(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Parse(keyring.NewKey())
	require.NoError(t, err)
	secret := webhook.NewSecret()
	sealed := keys.Seal(webhook.Place("acme", "whk_1"), secret)
	opened, err := webhook.OpenSecrets(keys, "acme", "whk_1", sealed)
	require.NoError(t, err)
	require.Equal(t, []webhook.Secret{secret}, opened)
	for _, place := range [][2]string{{"other", "whk_1"}, {"acme", "whk_2"}} {
		_, err = webhook.OpenSecrets(keys, place[0], place[1], sealed)
		require.Error(t, err, "a row that was copied to another place")
	}
	_, err = webhook.OpenSecrets(nil, "acme", "whk_1", sealed)
	require.Equal(t, "master_key_missing", fault.CodeOf(err))
}
