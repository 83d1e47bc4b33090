package apiserver_test

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

const keysPath, operatorKeysPath = v1 + "/api-keys", v1 + "/operator-keys"

// from asks from an address, straight or by way of proxies.
func (b *bundle) from(addr, key, path string, forwarded ...string) answer {
	b.t.Helper()
	r := b.request(http.MethodGet, path, key, nil)
	r.RemoteAddr = addr
	r.Header["X-Forwarded-For"] = forwarded
	return b.send(r)
}

func TestAPIKeys_Networks(t *testing.T) {
	t.Parallel()
	b, full := newAcme(t, tenant.Settings{})
	b.Server = b.process(temporalAway(t), nil, func(cfg *apiserver.Config) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	for path, tc := range map[string]struct{ by, works string }{keysPath: {full, emailsPath}, operatorKeysPath: {b.operator, tenantsPath}} {
		made := must[apiserver.NewAPIKey](b, 201, http.MethodPost, path, tc.by, `{"name":"x","allowedCidrs":["203.0.113.0/24","2001:DB8::/32"]}`)
		require.Equal(t, []string{"203.0.113.0/24", "2001:db8::/32"}, made.AllowedCIDRs)
		require.Equal(t, made.AllowedCIDRs, b.listed(path, tc.by, made.ID).AllowedCIDRs)
		rotated := must[apiserver.NewAPIKey](b, 201, http.MethodPost, path+"/"+made.ID+"/rotate", tc.by, nil)
		require.Equal(t, made.AllowedCIDRs, rotated.AllowedCIDRs)
		for _, key := range []string{made.Key, rotated.Key} {
			for _, addr := range []string{"203.0.113.9:1", "[2001:db8::1]:1", "[::ffff:203.0.113.9]:1"} {
				require.Equal(t, 200, b.from(addr, key, tc.works).Status, addr)
			}
			p := b.from("192.0.2.1:1", key, tc.works).problem(403, "address_not_allowed")
			require.Contains(t, p.Detail, "192.0.2.1")
			b.from("@", key, tc.works).problem(403, "address_not_allowed")
			b.from("192.0.2.1:1", key, tc.works, "203.0.113.9").problem(403, "address_not_allowed")
			require.Equal(t, 200, b.from("10.0.0.1:1", key, tc.works, "192.0.2.1, 203.0.113.9").Status)
			b.from("10.0.0.1:1", key, tc.works, "203.0.113.9, 192.0.2.1").problem(403, "address_not_allowed")
		}
		require.Nil(t, b.newKey(path, tc.by, "everywhere").AllowedCIDRs)
	}
	many := slices.Repeat([]string{"10.0.0.0/8"}, 50)
	must[apiserver.NewAPIKey](b, 201, http.MethodPost, keysPath, full, apiserver.CreateAPIKey{Name: "x", AllowedCIDRs: many})
	require.Equal(t, []string{"body.allowedCidrs bad_length"}, b.ask(http.MethodPost, keysPath, full,
		apiserver.CreateAPIKey{Name: "x", AllowedCIDRs: append(many, many[0])}).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.allowedCidrs[1] invalid_cidr", "body.allowedCidrs[2] invalid_cidr"},
		b.ask(http.MethodPost, keysPath, full, `{"name":"x","allowedCidrs":["10.0.0.0/8","10.0.0.1","10.0.0.1/8"]}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.allowedCidrs bad_length"},
		b.ask(http.MethodPost, keysPath, full, `{"name":"x","allowedCidrs":[]}`).fields(422, "validation_failed"))
}

// bounded makes a key with bounds; its network is where tests come from.
func (b *bundle) bounded(tenantID string, ends time.Time) string {
	b.t.Helper()
	k := store.NewKey{Name: "bounded", Key: apikey.New(apikey.Tenant), ExpiresAt: &ends, Networks: apikey.Networks{netip.MustParsePrefix("192.0.2.0/24")}}
	var err error
	if tenantID == "" {
		k.Key = apikey.New(apikey.Operator)
		_, err = b.store.CreateOperatorKey(b.t.Context(), k)
	} else {
		_, err = b.store.CreateTenantKey(b.t.Context(), tenantID, k)
	}
	require.NoError(b.t, err)
	return k.Key.Text()
}

// A key makes none that lives longer or is good in more places than itself.
func TestAPIKeys_MakeNoneWithWiderBounds(t *testing.T) {
	t.Parallel()
	b, full := newAcme(t, tenant.Settings{})
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	for path, tc := range map[string]struct{ owner, strong string }{keysPath: {acme, full}, operatorKeysPath: {"", b.operator}} {
		maker := b.bounded(tc.owner, ends)
		made := b.newKey(path, maker, "like itself")
		require.Equal(t, ends, *made.ExpiresAt)
		require.Equal(t, []string{"192.0.2.0/24"}, made.AllowedCIDRs)
		narrow := must[apiserver.NewAPIKey](b, 201, http.MethodPost, path, maker,
			apiserver.CreateAPIKey{Name: "x", AllowedCIDRs: []string{"192.0.2.1/32"}, ExpiresAt: ptr(ends.Add(-time.Minute))})
		require.Equal(t, ends.Add(-time.Minute), *narrow.ExpiresAt)
		b.ask(http.MethodPost, path, maker, apiserver.CreateAPIKey{Name: "x", ExpiresAt: ptr(ends.Add(time.Second))}).problem(403, "expiry_too_late")
		for _, wide := range []string{"192.0.2.0/23", "0.0.0.0/0", "198.51.100.0/24", "::/0"} {
			b.ask(http.MethodPost, path, maker, apiserver.CreateAPIKey{Name: "x", AllowedCIDRs: []string{"192.0.2.0/24", wide}}).problem(403, "cidr_too_wide")
		}

		rotate := func(id string) string { return path + "/" + id + "/rotate" }
		again := must[apiserver.NewAPIKey](b, 201, http.MethodPost, rotate(made.ID), maker, nil)
		require.Equal(t, ends, *again.ExpiresAt, "not the hour from now on")
		b.ask(http.MethodPost, rotate(again.ID), maker, apiserver.RotateAPIKey{Overlap: "1h", ExpiresAt: ptr(ends.Add(time.Second))}).problem(403, "expiry_too_late")
		unbounded := b.newKey(path, tc.strong, "unbounded")
		b.ask(http.MethodPost, rotate(unbounded.ID), maker, nil).problem(403, "cidr_too_wide")
		eternal := must[apiserver.NewAPIKey](b, 201, http.MethodPost, path, tc.strong, `{"name":"x","allowedCidrs":["192.0.2.0/24"]}`)
		require.Equal(t, ends, *must[apiserver.NewAPIKey](b, 201, http.MethodPost, rotate(eternal.ID), maker, nil).ExpiresAt)
	}

	// An operator's key may choose the networks of a tenant's, and not its life.
	operator := b.bounded("", ends)
	a := b.ask(http.MethodPost, keysPath, operator, `{"name":"x","allowedCidrs":["198.51.100.0/24"]}`, "X-Tenant-ID", acme)
	require.Equal(t, 201, a.Status, a.Body)
	require.Equal(t, ends, *read[apiserver.NewAPIKey](a).ExpiresAt)
	a = b.ask(http.MethodPost, keysPath, operator, `{"name":"x"}`, "X-Tenant-ID", acme)
	require.Nil(t, read[apiserver.NewAPIKey](a).AllowedCIDRs)
	b.ask(http.MethodPost, keysPath, operator, `{"name":"x","expiresAt":"2999-01-01T00:00:00Z"}`, "X-Tenant-ID", acme).problem(403, "expiry_too_late")
}
