package apiserver_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/tenant"
)

// fewAttempts is a process that lets 3 wrong keys of a source pass, and no more in the time of a test.
func (b *bundle) fewAttempts() {
	b.Server = b.process(temporalAway(b.t), nil, func(cfg *apiserver.Config) {
		cfg.Attempts = apiserver.Attempts{Burst: 3, Every: time.Hour}
	})
}

// Wrong keys from one source are slowed, and others are not: not other sources, and not a
// key that was right before.
func TestAttempts(t *testing.T) {
	t.Parallel()
	b, good := newAcme(t, tenant.Settings{})
	b.fewAttempts()
	unused := b.key(acme)
	const source, other = "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"
	require.Equal(t, 200, b.from(source, good, emailsPath).Status)
	for i := range 6 {
		wrong := apikey.New(apikey.Tenant).Text()
		if i%2 == 0 {
			wrong = good[:20] + wrong[20:] // with a prefix that there is
		}
		a := b.from("[2001:db8:1:2::"+strconv.Itoa(i)+"]:1", wrong, emailsPath) // addresses of one customer
		if i < 3 {
			a.problem(http.StatusUnauthorized, "invalid_key")
			continue
		}
		a.problem(http.StatusTooManyRequests, "too_many_attempts")
		require.Equal(t, "600", a.Header.Get("Retry-After"), "then the source is forgotten")
	}
	require.Equal(t, 200, b.from(source, good, emailsPath).Status, "it was right before")
	b.from(source, unused, emailsPath).problem(http.StatusTooManyRequests, "too_many_attempts")
	require.Equal(t, 200, b.from(other, unused, emailsPath).Status, "who asks elsewhere does not notice")
	require.Equal(t, 200, b.from(source, unused, emailsPath).Status, "it was right elsewhere")
	b.from(source, "sesame", emailsPath).problem(http.StatusUnauthorized, "invalid_key") // can not be a key
	b.from(source, "", emailsPath).problem(http.StatusUnauthorized, "key_required")

	b.store.Close() // refused before it is looked up
	b.from(source, apikey.New(apikey.Tenant).Text(), emailsPath).problem(http.StatusTooManyRequests, "too_many_attempts")
	b.from(other, apikey.New(apikey.Tenant).Text(), emailsPath).problem(http.StatusServiceUnavailable, "database_unavailable")
}

// A key that was right is one that is tried when it is not any more, but only once: who comes
// again with it does not guess.
func TestAttempts_OneKeyCountsOnce(t *testing.T) {
	t.Parallel()
	b, good := newAcme(t, tenant.Settings{})
	b.fewAttempts()
	made := b.newKey(keysPath, good, "x")
	require.Equal(t, 200, b.ask(http.MethodGet, emailsPath, made.Key, nil).Status)
	require.Equal(t, 204, b.ask(http.MethodDelete, keysPath+"/"+made.ID, good, nil).Status)
	for range 10 {
		b.ask(http.MethodGet, emailsPath, made.Key, nil).problem(http.StatusUnauthorized, "invalid_key")
	}
	for range 2 {
		b.ask(http.MethodGet, emailsPath, apikey.New(apikey.Tenant).Text(), nil).problem(http.StatusUnauthorized, "invalid_key")
	}
	b.ask(http.MethodGet, emailsPath, apikey.New(apikey.Tenant).Text(), nil).problem(http.StatusTooManyRequests, "too_many_attempts")
	require.Equal(t, 200, b.ask(http.MethodGet, emailsPath, good, nil).Status)
}

// A key that is not good is asked for in the database each time, known or not.
func TestAuth_WrongKeysCostTheSame(t *testing.T) {
	t.Parallel()
	b, good := newAcme(t, tenant.Settings{})
	b.Server = b.process(temporalAway(t), nil, func(cfg *apiserver.Config) { cfg.Remember = time.Hour })
	require.Equal(t, 404, b.ask(http.MethodGet, emailsPath+"/x", good, nil).Status)
	b.store.Close()
	require.Equal(t, 404, b.ask(http.MethodGet, emailsPath+"/x", good, nil).Status, "it is known")
	unknown := apikey.New(apikey.Tenant).Text()
	b.ask(http.MethodGet, emailsPath+"/x", unknown, nil).problem(503, "database_unavailable")
}
