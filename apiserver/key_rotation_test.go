package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// listed is a key as its list shows it.
func (b *bundle) listed(path, by, keyID string) apiserver.APIKey {
	b.t.Helper()
	for _, k := range must[page[apiserver.APIKey]](b, http.StatusOK, http.MethodGet, path, by, nil).Items {
		if k.ID == keyID {
			return k
		}
	}
	require.Fail(b.t, "the key is not listed")
	return apiserver.APIKey{}
}

func TestAPIKeys_Expire(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	// It remembers keys for longer than the test takes: the clock is asked at each use.
	b.Server = b.process(temporalAway(t), nil, func(cfg *apiserver.Config) { cfg.Remember = time.Hour })
	for path, tc := range map[string]struct{ by, works string }{
		v1 + "/api-keys":      {first, emailsPath},
		v1 + "/operator-keys": {b.operator, tenantsPath},
	} {
		ends := time.Now().Add(3 * time.Second).UTC().Truncate(time.Microsecond)
		made := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path, tc.by, apiserver.CreateAPIKey{Name: "short", ExpiresAt: &ends})
		require.Equal(t, ends, *made.ExpiresAt)
		require.Equal(t, ends, *b.listed(path, tc.by, made.ID).ExpiresAt)
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, tc.works, made.Key, nil).Status)
		require.Eventually(t, func() bool {
			return b.ask(http.MethodGet, tc.works, made.Key, nil).Status == http.StatusUnauthorized
		}, 10*time.Second, 20*time.Millisecond)
		require.False(t, time.Now().Before(ends))
		b.ask(http.MethodGet, tc.works, made.Key, nil).problem(http.StatusUnauthorized, "invalid_key")
		b.ask(http.MethodPost, path+"/"+made.ID+"/rotate", tc.by, nil).problem(http.StatusConflict, "key_ended")
	}
}

func TestAPIKeys_LastUse(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	before := time.Now().Add(-time.Second)
	used, unused := b.newKey(v1+"/api-keys", first, "used"), b.newKey(v1+"/api-keys", first, "unused")
	require.Nil(t, used.LastUsedAt)
	b.ask(http.MethodGet, tenantsPath, used.Key, nil).problem(http.StatusForbidden, "operator_required") // is a use too
	b.ask(http.MethodGet, emailsPath, unused.Key[:len(unused.Key)-3]+"abc", nil).problem(http.StatusUnauthorized, "invalid_key")
	require.Eventually(t, func() bool {
		at := b.listed(v1+"/api-keys", first, used.ID).LastUsedAt
		return at != nil && at.After(before) && at.Before(time.Now().Add(time.Second))
	}, 10*time.Second, 50*time.Millisecond)
	require.Nil(t, b.listed(v1+"/api-keys", first, unused.ID).LastUsedAt, "who does not know the secret does not use the key")
}

func TestAPIKeys_Rotation(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	for path, tc := range map[string]struct{ by, works string }{
		v1 + "/api-keys":      {first, emailsPath},
		v1 + "/operator-keys": {b.operator, tenantsPath},
	} {
		old := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path, tc.by, `{"name":"app","scopes":["emails:read"]}`)
		if path == v1+"/operator-keys" {
			old = must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path, tc.by, `{"name":"app","scopes":["tenants:read"]}`)
		}
		rotate := path + "/" + old.ID + "/rotate"
		a := b.ask(http.MethodPost, rotate, tc.by, nil, "Idempotency-Key", "again")
		require.Equal(t, http.StatusCreated, a.Status, a.Body)
		made := read[apiserver.NewAPIKey](a)
		again := b.ask(http.MethodPost, rotate, tc.by, nil, "Idempotency-Key", "again")
		require.Equal(t, a.Body, again.Body, "the same secret")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))

		require.NotEqual(t, old.ID, made.ID)
		require.NotEqual(t, old.Prefix, made.Prefix)
		require.Equal(t, old.Name, made.Name)
		require.Equal(t, old.Scopes, made.Scopes)
		require.Nil(t, made.ExpiresAt)
		for _, key := range []string{old.Key, made.Key} {
			require.Equal(t, http.StatusOK, b.ask(http.MethodGet, tc.works, key, nil).Status, "both are good")
		}
		shown := b.listed(path, tc.by, old.ID)
		require.Equal(t, made.ID, *shown.ReplacedBy)
		require.WithinDuration(t, time.Now().Add(24*time.Hour), *shown.ExpiresAt, time.Minute)
		b.ask(http.MethodPost, rotate, tc.by, nil).problem(http.StatusConflict, "key_ended")

		last := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path+"/"+made.ID+"/rotate", tc.by, `{"overlap":"0s"}`)
		b.ask(http.MethodGet, tc.works, made.Key, nil).problem(http.StatusUnauthorized, "invalid_key")
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, tc.works, last.Key, nil).Status)
		require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, path+"/"+last.ID, tc.by, nil).Status)
		b.ask(http.MethodPost, path+"/"+last.ID+"/rotate", tc.by, nil).problem(http.StatusConflict, "key_ended")
	}
}

// A key that ends is replaced by one that ends, and lives no longer for having been rotated.
func TestAPIKeys_RotationOfAKeyThatEnds(t *testing.T) {
	t.Parallel()
	b, first := newAcme(t, tenant.Settings{})
	const path = v1 + "/api-keys"
	for body, life := range map[string]time.Duration{"": time.Hour, `{"expiresAt":"2999-01-01T00:00:00Z","overlap":"30d"}`: 0} {
		ends := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		old := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path, first, apiserver.CreateAPIKey{Name: "x", ExpiresAt: &ends})
		var content any
		if body != "" {
			content = body
		}
		made := must[apiserver.NewAPIKey](b, http.StatusCreated, http.MethodPost, path+"/"+old.ID+"/rotate", first, content)
		if life > 0 {
			require.WithinDuration(t, time.Now().Add(life), *made.ExpiresAt, time.Minute)
		} else {
			require.Equal(t, 2999, made.ExpiresAt.Year())
		}
		require.Equal(t, ends, *b.listed(path, first, old.ID).ExpiresAt)
	}
}

func TestAPIKeys_RotationRefused(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, by := range map[string]string{v1 + "/api-keys": key, v1 + "/operator-keys": b.operator} {
		made := b.newKey(path, by, "x")
		for body, want := range map[string]string{
			`{"overlap":"31d"}`:                    "body.overlap out_of_range",
			`{"overlap":"721h"}`:                   "body.overlap out_of_range",
			`{"overlap":"-1h"}`:                    "body.overlap invalid_value",
			`{"overlap":"1h30m"}`:                  "body.overlap invalid_value",
			`{"overlap":""}`:                       "body.overlap invalid_value",
			`{"overlap":5}`:                        "body.overlap invalid_value",
			`{"expiresAt":"2020-01-01T00:00:00Z"}`: "body.expiresAt out_of_range",
			`{"name":"y"}`:                         "body.name unknown_field",
		} {
			require.Equal(t, []string{want}, b.ask(http.MethodPost, path+"/"+made.ID+"/rotate", by, body).
				fields(http.StatusUnprocessableEntity, "validation_failed"), body)
		}
		for _, keyID := range []string{id.APIKey.NewString(), id.Email.NewString(), "x"} {
			b.ask(http.MethodPost, path+"/"+keyID+"/rotate", by, nil).problem(http.StatusNotFound, "key_not_found")
		}
		require.Nil(t, b.listed(path, by, made.ID).ReplacedBy)
	}
	ofOperator := b.newKey(v1+"/operator-keys", b.operator, "o")
	b.ask(http.MethodPost, v1+"/api-keys/"+ofOperator.ID+"/rotate", key, nil).problem(http.StatusNotFound, "key_not_found")
	require.Equal(t, apikey.Scopes(apikey.Operator), ofOperator.Scopes)
}
