package apiserver_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// bound gives the bundle's API other bounds of uploads.
func (b *bundle) bound(u apiserver.Uploads) {
	b.t.Helper()
	b.Server = b.anotherProcess(func(cfg *apiserver.Config) { cfg.Uploads = u })
}

// rateLimit requires that an answer was 202 and says what the day has left.
func (a answer) rateLimit(limit, left int) {
	a.t.Helper()
	require.Equal(a.t, http.StatusAccepted, a.Status, a.Body)
	require.Equal(a.t, fmt.Sprintf(`"day";q=%d;w=86400`, limit), a.Header.Get("RateLimit-Policy"))
	found := rateLimitForm.FindStringSubmatch(a.Header.Get("RateLimit"))
	require.Len(a.t, found, 3, a.Header.Get("RateLimit"))
	require.Equal(a.t, strconv.Itoa(left), found[1])
}

// A client that does not go on is given up, and what it had sent is cancelled.
func TestCreateBulkSend_Stalls(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10_000)})
	b.bound(apiserver.Uploads{Stall: 200 * time.Millisecond, Beat: 20 * time.Millisecond})
	release := make(chan struct{})
	response, err := b.streamed(key, func(w io.Writer) error {
		if err := feedLines(w, 1000, func(int) {}); err != nil {
			return err
		}
		<-release
		return nil
	})
	defer close(release)
	a := answered(t, response, err)
	require.Contains(t, a.problem(http.StatusRequestTimeout, "body_timeout").Detail, "200ms")
	require.Regexp(t, `^cancelled \d+$`, b.bulkSends(key)[0])
	require.Zero(t, must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", key, nil).Used)
}

// An upload that is slow, but goes on, is said to be under way, so that nobody takes it for
// one whose process is gone.
func TestCreateBulkSend_SaysThatItIsUnderWay(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.bound(apiserver.Uploads{Beat: 10 * time.Millisecond})
	progressed := func() string { return strings.Join(b.values(`SELECT progressed_at::text FROM bulk_sends`), "") }
	response, err := b.streamed(key, func(w io.Writer) error {
		if err := feedLines(w, 1, func(int) {}); err != nil {
			return err
		}
		var before string
		require.Eventually(t, func() bool { before = progressed(); return before != "" }, 20*time.Second, 10*time.Millisecond)
		require.Eventually(t, func() bool { return progressed() != before }, 20*time.Second, 10*time.Millisecond)
		items := must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, bulkPath+"/"+items[0].ID+"/cancel", key, nil).Status)
		return nil
	})
	answered(t, response, err).problem(http.StatusConflict, "bulk_send_cancelled")
}

func TestCreateBulkSend_TooManyLines(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10_000)})
	b.bound(apiserver.Uploads{Lines: 1200})
	lines := func(n int) string {
		var text strings.Builder
		require.NoError(t, feedLines(&text, n, func(int) {}))
		return text.String()
	}
	p := b.upload(key, lines(1201)).problem(http.StatusRequestEntityTooLarge, "too_many_lines")
	require.Contains(t, p.Detail, "1200")
	require.Regexp(t, `^cancelled \d+$`, b.bulkSends(key)[0])
	require.Zero(t, must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", key, nil).Used, "it is given back")
	require.Equal(t, 1200, b.uploaded(key, lines(1200)).Accepted, "with the shared line and blank ones beside")
}

// What the day has left is said as for a single email.
func TestCreateBulkSend_RateLimitHeaders(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(5)})
	b.upload(key, news, ada, bob, `{"to":"nobody"}`).rateLimit(5, 3)
	b.ask(http.MethodPost, batchPath, key, `{"emails":[`+hi+`,{"to":"x"},`+ho+`]}`).rateLimit(5, 1)
	b.upload(key, news, ada, bob).rateLimit(5, 0)
	free := b.tenant("free", tenant.Settings{FromEmail: "a@acme.com"})
	for _, a := range []answer{b.upload(free, news, ada), b.ask(http.MethodPost, batchPath, free, `{"emails":[`+hi+`]}`)} {
		require.Equal(t, http.StatusAccepted, a.Status, a.Body)
		require.Empty(t, a.Header.Values("RateLimit"))
		require.Empty(t, a.Header.Values("RateLimit-Policy"))
	}
}
