package e2e

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// browse asks for an address as a person's browser does, and does not follow where it leads.
func browse(t testing.TB, url string) (status int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0")
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, response.Header
}

// The links in the mails that were caught lead where they led, and tell who followed them.
func TestTracking(t *testing.T) {
	t.Parallel()
	tenantID, c := shared.newTenant(t, mailtura.Settings{Tracking: &mailtura.Tracking{Opens: ptr(true), Clicks: ptr(true)}})
	ada, bob := address(t, "ada"), address(t, "bob")
	sent := send(t, c, mailtura.SendEmail{
		To: to(ada, bob), Subject: ptr("Offer"),
		Html: ptr(`<body><a href="https://acme.com/offer?a=1&amp;b=2">Offer</a> <a href="https://acme.com/off" data-track="off">off</a></body>`),
	})
	link, picture := regexp.MustCompile(`<a href="([^"]+/t/c/[^"]+)">Offer</a> <a href="https://acme.com/off">`), regexp.MustCompile(`<img src="([^"]+/t/o/[^"]+\.gif)"`)
	type targets struct{ click, open string }
	found := map[string]targets{}
	for _, addr := range []string{ada, bob} {
		m := shared.open(t, shared.await(t, addr, 1, 60*time.Second)[0].ID)
		require.Regexp(t, link, m.HTML)
		require.Regexp(t, picture, m.HTML)
		require.NotContains(t, m.Text, "/t/")
		found[addr] = targets{link.FindStringSubmatch(m.HTML)[1], picture.FindStringSubmatch(m.HTML)[1]}
		require.Contains(t, found[addr].click, shared.URL)
	}
	require.NotEqual(t, found[ada], found[bob])

	// What comes within 2 seconds of the hand-over is taken for a machine's, so it is looked at until that is over.
	var engaged *mailtura.Engagement
	require.Eventually(t, func() bool {
		status, header := browse(t, found[ada].click)
		require.Equal(t, http.StatusFound, status)
		require.Equal(t, "https://acme.com/offer?a=1&b=2", header.Get("Location"))
		status, header = browse(t, found[ada].open)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "image/gif", header.Get("Content-Type"))
		for _, r := range email(t, c, sent.Id).Recipients {
			if r.Email == ada {
				engaged = r.Engagement
			} else {
				require.Nil(t, r.Engagement)
			}
		}
		return engaged != nil && engaged.Opens > 0 && engaged.Clicks > 0
	}, 60*time.Second, 200*time.Millisecond)
	require.NotNil(t, engaged.OpenedAt)

	unique := map[string]int{}
	require.Eventually(t, func() bool {
		clear(unique)
		list, err := c.ListEventsWithResponse(t.Context(), &mailtura.ListEventsParams{Limit: ptr(int64(1000))})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, list.StatusCode(), string(list.Body))
		for _, e := range list.JSON200.Items {
			if e.Data.Unique != nil && *e.Data.Unique {
				require.Equal(t, ada, *e.Data.Recipient)
				unique[string(e.Type)]++
			}
		}
		return len(unique) == 2
	}, 60*time.Second, 100*time.Millisecond)
	require.Equal(t, map[string]int{"email.opened": 1, "email.clicked": 1}, unique)

	deleted, err := shared.client(t, shared.Key, "").DeleteTenantWithResponse(t.Context(), tenantID, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, deleted.StatusCode())
	for _, url := range []string{found[bob].click, found[bob].open} {
		status, _ := browse(t, url)
		require.Equal(t, http.StatusNotFound, status)
	}
}
