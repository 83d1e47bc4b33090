package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// usage asks as the tenant and as an operator, who both see the same.
func (b *bundle) usage(key string) apiserver.Usage {
	b.t.Helper()
	own := must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", key, nil)
	theirs := must[apiserver.Usage](b, http.StatusOK, http.MethodGet, tenantsPath+"/"+acme+"/usage", b.operator, nil)
	require.InDelta(b.t, own.OldestAgeSeconds, theirs.OldestAgeSeconds, 60)
	theirs.OldestAgeSeconds = own.OldestAgeSeconds
	require.Equal(b.t, own, theirs)
	return own
}

func TestUsage_OfANewTenant(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	usage := b.usage(key)
	require.Equal(t, apiserver.Usage{
		TenantID: acme, Day: usage.Day, Timezone: "UTC", Quota: apiserver.Quota{ResetsAt: usage.ResetsAt},
	}, usage)
	require.Equal(t, usage.ResetsAt.Add(-time.Second).Format(time.DateOnly), usage.Day)
	require.Contains(t, b.ask(http.MethodGet, v1+"/usage", key, nil).Body, `"rate":null`)
}

func TestUsage_Counts(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10), RateLimit: ptr(120), Timezone: "Asia/Tokyo"})
	b.post(key, `{"to":["a@example.com","b@example.com"],"subject":"Hi","text":"Hi"}`)
	b.exec(`UPDATE emails SET created_at = now() - interval '1 hour'`)
	b.post(key, `{"to":"c@example.com","subject":"Hi","text":"Hi"}`)
	b.setRecipient("b@example.com", "deferred", "greylisted", ptr(time.Now()))
	usage := b.usage(key)
	require.Equal(t, apiserver.Quota{Limit: ptr(10), Used: 3, Remaining: ptr(7), ResetsAt: usage.ResetsAt}, usage.Quota)
	require.Equal(t, "Asia/Tokyo", usage.Timezone)
	require.Equal(t, 15, usage.ResetsAt.Hour(), "midnight in Tokyo")
	require.Equal(t, &apiserver.Rate{Limit: 120, Per: "minute", Burst: 2}, usage.Rate)
	require.Equal(t, 3, usage.Backlog)
	require.InDelta(t, 3600, usage.OldestAgeSeconds, 60)

	for _, addr := range []string{"a@example.com", "b@example.com"} {
		b.setRecipient(addr, "sent", "", nil)
	}
	usage = b.usage(key)
	require.Equal(t, 1, usage.Backlog)
	require.Less(t, usage.OldestAgeSeconds, 60.0)
	require.Equal(t, 3, usage.Used, "what is sent stays used")

	b.patch(`{"settings":{"dailyLimit":2}}`)
	require.Equal(t, ptr(0), b.usage(key).Remaining, "not less than nothing")
}

func TestUsage_IsTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	b.post(other, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`)
	usage := b.usage(key)
	require.Zero(t, usage.Used)
	require.Zero(t, usage.Backlog)
}
