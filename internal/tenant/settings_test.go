package tenant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

func ptr(n int) *int { return &n }

func acme(s tenant.Settings) tenant.Tenant {
	return tenant.Tenant{ID: "acme-corp", Name: "Acme", Domain: "acme.com", Settings: s}
}

func TestSettings_WithDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, tenant.Settings{RateLimitPer: "minute", OverLimit: tenant.Reject, Timezone: "UTC", OnUnknownOutcome: tenant.Resend},
		tenant.Settings{}.WithDefaults())
	chosen := tenant.Settings{
		FromEmail: "a@acme.com", FromName: "A", ReplyTo: "b@acme.com", DailyLimit: ptr(0), RateLimit: ptr(1), RateLimitPer: "hour", Burst: ptr(1),
		OverLimit: tenant.Queue, Timezone: "Asia/Tokyo", OnUnknownOutcome: tenant.Hold, Weight: ptr(2),
	}
	require.Equal(t, chosen, chosen.WithDefaults())
	require.Equal(t, chosen.WithDefaults(), chosen.WithDefaults().WithDefaults())
}

func TestSettings_Location(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Europe/Berlin", tenant.Settings{Timezone: "Europe/Berlin"}.Location().String())
	require.Equal(t, time.UTC, tenant.Settings{}.Location())
	require.Equal(t, time.UTC, tenant.Settings{Timezone: "Mars/Olympus"}.Location())
}

func TestSettings_Rate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings tenant.Settings
		want     quota.Rate
	}{
		"no limit":                {tenant.Settings{}, quota.Rate{}},
		"a burst limits nothing":  {tenant.Settings{Burst: ptr(5), RateLimitPer: "hour"}, quota.Rate{}},
		"by default per minute":   {tenant.Settings{RateLimit: ptr(100)}, quota.Rate{Count: 100, Per: time.Minute, Burst: 2}},
		"a second's worth":        {tenant.Settings{RateLimit: ptr(600), RateLimitPer: "minute"}, quota.Rate{Count: 600, Per: time.Minute, Burst: 10}},
		"per second":              {tenant.Settings{RateLimit: ptr(50), RateLimitPer: "second"}, quota.Rate{Count: 50, Per: time.Second, Burst: 50}},
		"per hour":                {tenant.Settings{RateLimit: ptr(50), RateLimitPer: "hour"}, quota.Rate{Count: 50, Per: time.Hour, Burst: 2}},
		"a burst that was chosen": {tenant.Settings{RateLimit: ptr(50), RateLimitPer: "second", Burst: ptr(1)}, quota.Rate{Count: 50, Per: time.Second, Burst: 1}},
	} {
		require.Equal(t, c.want, c.settings.Rate(), name)
		require.Equal(t, c.want.IsZero(), c.settings.Rate().IsZero(), name)
	}
}

func TestSettings_FairShare(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 1, tenant.Settings{}.FairShare(), 0)
	require.InDelta(t, 3, tenant.Settings{Weight: ptr(3)}.FairShare(), 0)
}

func TestValidate_Normalises(t *testing.T) {
	t.Parallel()
	one := tenant.Tenant{Name: strings.Repeat("Ä", 200), Domain: "MÜNCHEN.example", Settings: tenant.Settings{
		FromEmail: "Post <Post@München.example>", FromName: "Post, Amt", ReplyTo: "Hilfe <hilfe@example.net>",
		Tracking: tenant.Tracking{Domain: "Klick.MÜNCHEN.example"},
	}}
	require.NoError(t, one.Validate())
	require.Equal(t, "xn--mnchen-3ya.example", one.Domain)
	require.Equal(t, "Post@xn--mnchen-3ya.example", one.Settings.FromEmail)
	require.Equal(t, "Hilfe <hilfe@example.net>", one.Settings.ReplyTo, "the name of it is shown")
	require.Equal(t, "klick.xn--mnchen-3ya.example", one.Settings.Tracking.Domain)
	again := one
	require.NoError(t, again.Validate())
	require.Equal(t, one, again)
}

func TestValidate_Accepts(t *testing.T) {
	t.Parallel()
	for _, s := range []tenant.Settings{
		{},
		tenant.Settings{}.WithDefaults(),
		{DailyLimit: ptr(0), RateLimit: ptr(1), Burst: ptr(1), Weight: ptr(1)},
		{DailyLimit: ptr(1_000_000_000), RateLimit: ptr(1_000_000), Burst: ptr(1_000_000), Weight: ptr(1000)},
		{RateLimitPer: "second", OnUnknownOutcome: tenant.Hold, Timezone: "America/Argentina/Buenos_Aires"},
	} {
		one := acme(s)
		require.NoError(t, one.Validate(), "%+v", s)
	}
}

func TestValidate_SaysWhatIsWrongWhere(t *testing.T) {
	t.Parallel()
	const at = "body.settings."
	for name, c := range map[string]struct {
		change         func(*tenant.Tenant)
		location, code string
	}{
		"no name":              {func(t *tenant.Tenant) { t.Name = "" }, "body.name", "invalid_name"},
		"blank name":           {func(t *tenant.Tenant) { t.Name = " \t" }, "body.name", "invalid_name"},
		"long name":            {func(t *tenant.Tenant) { t.Name = strings.Repeat("n", 201) }, "body.name", "invalid_name"},
		"name of two lines":    {func(t *tenant.Tenant) { t.Name = "a\nb" }, "body.name", "header_injection"},
		"no domain":            {func(t *tenant.Tenant) { t.Domain = "" }, "body.domain", "invalid_domain"},
		"bad domain":           {func(t *tenant.Tenant) { t.Domain = "acme" }, "body.domain", "invalid_domain"},
		"URL":                  {func(t *tenant.Tenant) { t.Domain = "https://acme.com" }, "body.domain", "invalid_domain"},
		"foreign sender":       {func(t *tenant.Tenant) { t.Settings.FromEmail = "a@example.com" }, at + "fromEmail", "sender_domain_not_allowed"},
		"sender of subdomain":  {func(t *tenant.Tenant) { t.Settings.FromEmail = "a@x.acme.com" }, at + "fromEmail", "sender_domain_not_allowed"},
		"no sender address":    {func(t *tenant.Tenant) { t.Settings.FromEmail = "acme.com" }, at + "fromEmail", "invalid_address"},
		"sender injects":       {func(t *tenant.Tenant) { t.Settings.FromEmail = "a@acme.com\r\nBcc: b@acme.com" }, at + "fromEmail", "header_injection"},
		"sender name injects":  {func(t *tenant.Tenant) { t.Settings.FromName = "A\r\nBcc: b@acme.com" }, at + "fromName", "header_injection"},
		"sender name no UTF-8": {func(t *tenant.Tenant) { t.Settings.FromName = "\xff" }, at + "fromName", "invalid_value"},
		"reply-to":             {func(t *tenant.Tenant) { t.Settings.ReplyTo = "a@" }, at + "replyTo", "invalid_address"},
		"time zone":            {func(t *tenant.Tenant) { t.Settings.Timezone = "Mars/Olympus" }, at + "timezone", "invalid_timezone"},
		"zone of the machine":  {func(t *tenant.Tenant) { t.Settings.Timezone = "Local" }, at + "timezone", "invalid_timezone"},
		"path for a zone":      {func(t *tenant.Tenant) { t.Settings.Timezone = "../etc/passwd" }, at + "timezone", "invalid_timezone"},
		"daily limit":          {func(t *tenant.Tenant) { t.Settings.DailyLimit = ptr(-1) }, at + "dailyLimit", "out_of_range"},
		"great daily limit":    {func(t *tenant.Tenant) { t.Settings.DailyLimit = ptr(1_000_000_001) }, at + "dailyLimit", "out_of_range"},
		"rate limit":           {func(t *tenant.Tenant) { t.Settings.RateLimit = ptr(0) }, at + "rateLimit", "out_of_range"},
		"great rate limit":     {func(t *tenant.Tenant) { t.Settings.RateLimit = ptr(1_000_001) }, at + "rateLimit", "out_of_range"},
		"unit of the rate":     {func(t *tenant.Tenant) { t.Settings.RateLimitPer = "day" }, at + "rateLimitPer", "invalid_value"},
		"burst":                {func(t *tenant.Tenant) { t.Settings.Burst = ptr(0) }, at + "burst", "out_of_range"},
		"great burst":          {func(t *tenant.Tenant) { t.Settings.Burst = ptr(1_000_001) }, at + "burst", "out_of_range"},
		"weight":               {func(t *tenant.Tenant) { t.Settings.Weight = ptr(0) }, at + "weight", "out_of_range"},
		"great weight":         {func(t *tenant.Tenant) { t.Settings.Weight = ptr(1001) }, at + "weight", "out_of_range"},
		"tracking domain":      {func(t *tenant.Tenant) { t.Settings.Tracking.Domain = "https://x.yz" }, at + "tracking.domain", "invalid_domain"},
		"unknown outcome":      {func(t *tenant.Tenant) { t.Settings.OnUnknownOutcome = "retry" }, at + "onUnknownOutcome", "invalid_value"},
	} {
		one := acme(tenant.Settings{})
		c.change(&one)
		f, ok := fault.As(one.Validate())
		require.True(t, ok, name)
		require.Equal(t, fault.Invalid, f.Kind, name)
		require.Len(t, f.Fields, 1, name)
		require.Equal(t, c.location, f.Fields[0].Location, name)
		require.Equal(t, c.code, f.Fields[0].Code, name)
		require.NotEmpty(t, f.Fields[0].Message, name)
	}
}

func TestValidate_SaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	one := tenant.Tenant{Settings: tenant.Settings{FromName: "\n", ReplyTo: "x", Timezone: "x", Burst: ptr(-1)}}
	f, ok := fault.As(one.Validate())
	require.True(t, ok)
	var locations []string
	for _, field := range f.Fields {
		locations = append(locations, field.Location)
	}
	require.Equal(t, []string{
		"body.name", "body.domain", "body.settings.fromName", "body.settings.replyTo", "body.settings.timezone", "body.settings.burst",
	}, locations)
}
