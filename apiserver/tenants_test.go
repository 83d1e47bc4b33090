package apiserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/tenant"
)

const tenantsPath = v1 + "/tenants"

// patch changes acme-corp.
func (b *bundle) patch(body string) apiserver.Tenant {
	b.t.Helper()
	return must[apiserver.Tenant](b, http.StatusOK, http.MethodPatch, tenantsPath+"/"+acme, b.operator, body)
}

// get gives acme-corp.
func (b *bundle) get() apiserver.Tenant {
	b.t.Helper()
	return must[apiserver.Tenant](b, http.StatusOK, http.MethodGet, tenantsPath+"/"+acme, b.operator, nil)
}

func TestCreateTenant(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	temporal.run = func(options client.StartWorkflowOptions) error {
		require.Equal(t, flow.ProvisionTenantID(acme), options.ID)
		return b.store.ActivateTenant(t.Context(), acme)
	}
	made := must[apiserver.Tenant](b, http.StatusCreated, http.MethodPost, tenantsPath, b.operator,
		`{"id":"acme-corp","name":"Acme & Co","domain":"ACME.com","settings":{"fromEmail":"Hi@Acme.com","dailyLimit":0,"timezone":"Europe/Berlin"}}`)
	require.Equal(t, acme, made.ID)
	require.Equal(t, "Acme & Co", made.Name)
	require.Equal(t, "acme.com", made.Domain)
	require.Equal(t, "active", made.Status, "the answer waits for it")
	require.Equal(t, tenant.Settings{
		FromEmail: "Hi@acme.com", DailyLimit: ptr(0), Timezone: "Europe/Berlin", RateLimitPer: "minute", OnUnknownOutcome: tenant.Resend,
		OverLimit: tenant.Reject,
	}, made.Settings, "what was not chosen has its default")
	require.Equal(t, made, b.get())
}

func TestCreateTenant_TemporalAway(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	made := must[apiserver.Tenant](b, http.StatusCreated, http.MethodPost, tenantsPath, b.operator, `{"name":"acme-corp","domain":"acme.com"}`)
	require.Equal(t, "provisioning", made.Status)
	require.Equal(t, made, b.get())
	require.Contains(t, b.log.String(), "provisioning goes on without the request")
	key := b.key(acme)
	b.ask(http.MethodPost, v1+"/emails", key, `{"to":"a@example.com","from":"a@acme.com","subject":"Hi","text":"Hi"}`).
		problem(http.StatusConflict, "tenant_provisioning")
}

func TestCreateTenant_ProvisioningFails(t *testing.T) {
	t.Parallel()
	b := newBundleOn(t, &fakeTemporal{run: func(client.StartWorkflowOptions) error { return errors.New("workflow failed") }})
	made := must[apiserver.Tenant](b, http.StatusCreated, http.MethodPost, tenantsPath, b.operator, `{"name":"acme-corp","domain":"acme.com"}`)
	require.Equal(t, "provisioning", made.Status, "the sweep will start it again")
}

func TestCreateTenant_DerivesItsID(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for name, want := range map[string]string{
		"Acme Corp": "acme-corp", "  Jürgen Müller GmbH & Co. ": "jurgen-muller-gmbh-co", "4711": "4711",
		strings.Repeat("x", 80): strings.Repeat("x", 63),
	} {
		made := must[apiserver.Tenant](b, http.StatusCreated, http.MethodPost, tenantsPath, b.operator, map[string]string{"name": name, "domain": "a.example"})
		require.Equal(t, want, made.ID, name)
	}
	require.Equal(t, []string{"body.name invalid_tenant_id"},
		b.ask(http.MethodPost, tenantsPath, b.operator, `{"name":"株式会社","domain":"a.example"}`).fields(422, "validation_failed"),
		"a name without ASCII letters needs an id beside it")
}

func TestCreateTenant_Taken(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	before := b.get()
	for _, body := range []string{`{"name":"Acme Corp","domain":"b.example"}`, `{"id":"acme-corp","name":"x","domain":"b.example"}`} {
		b.ask(http.MethodPost, tenantsPath, b.operator, body).problem(http.StatusConflict, "tenant_exists")
	}
	require.Equal(t, before, b.get())
}

// What is wrong with a new tenant is wrong with a changed one as well.
func TestTenant_Invalid(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.tenant(acme, tenant.Settings{})
	before := b.get()
	for member, want := range map[string]string{
		`"name":" "`:                                          "body.name invalid_name",
		`"name":"a\r\nb"`:                                     "body.name header_injection",
		`"name":""`:                                           "body.name bad_length",
		`"domain":"no dot"`:                                   "body.domain invalid_domain",
		`"domain":"localhost:25"`:                             "body.domain invalid_domain",
		`"id2":"x"`:                                           "body.id2 unknown_field",
		`"status":"active"`:                                   "body.status unknown_field",
		`"settings":{"daylyLimit":1}`:                         "body.settings.daylyLimit unknown_field",
		`"settings":{"dailylimit":1}`:                         "body.settings.dailylimit unknown_field",
		`"settings":{"dailyLimit":-1}`:                        "body.settings.dailyLimit out_of_range",
		`"settings":{"dailyLimit":"many"}`:                    "body.settings.dailyLimit invalid_value",
		`"settings":{"rateLimit":0}`:                          "body.settings.rateLimit out_of_range",
		`"settings":{"burst":0}`:                              "body.settings.burst out_of_range",
		`"settings":{"weight":1001}`:                          "body.settings.weight out_of_range",
		`"settings":{"rateLimitPer":"day"}`:                   "body.settings.rateLimitPer invalid_value",
		`"settings":{"onUnknownOutcome":"guess"}`:             "body.settings.onUnknownOutcome invalid_value",
		`"settings":{"timezone":"Mars/Base"}`:                 "body.settings.timezone invalid_timezone",
		`"settings":{"timezone":"Local"}`:                     "body.settings.timezone invalid_timezone",
		`"settings":{"fromEmail":"nonsense"}`:                 "body.settings.fromEmail invalid_address",
		`"settings":{"fromEmail":"a@elsewhere.example"}`:      "body.settings.fromEmail sender_domain_not_allowed",
		`"settings":{"fromName":"A\nBcc: b@example.com"}`:     "body.settings.fromName header_injection",
		`"settings":{"replyTo":"b@example.com, c@d.example"}`: "body.settings.replyTo invalid_address",
	} {
		patched := b.ask(http.MethodPatch, tenantsPath+"/"+acme, b.operator, "{"+member+"}")
		require.Equal(t, []string{want}, patched.fields(422, "validation_failed"), member)
		rest := `,"name":"new","domain":"new.example"`
		if strings.HasPrefix(member, `"name"`) {
			rest = `,"id":"new","domain":"new.example"`
		} else if strings.HasPrefix(member, `"domain"`) {
			rest = `,"name":"new"`
		}
		created := b.ask(http.MethodPost, tenantsPath, b.operator, "{"+member+rest+"}")
		require.Equal(t, []string{want}, created.fields(422, "validation_failed"), member)
	}
	require.Equal(t, before, b.get())
	require.Len(t, must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath, b.operator, nil).Items, 1)
}

func TestCreateTenant_SaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.Equal(t, []string{"body required", "body required"}, b.ask(http.MethodPost, tenantsPath, b.operator, `{}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.name invalid_name", "body.domain invalid_domain", "body.settings.timezone invalid_timezone"},
		b.ask(http.MethodPost, tenantsPath, b.operator, `{"id":"x","name":" ","domain":"-","settings":{"timezone":"x"}}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.id invalid_tenant_id"},
		b.ask(http.MethodPost, tenantsPath, b.operator, `{"id":"Acme!","name":"x","domain":"a.example"}`).fields(422, "validation_failed"))
}

// RFC 7396: absent stays, null takes away, an object is merged.
func TestUpdateTenant_Merges(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{DailyLimit: ptr(100), RateLimit: ptr(60), Timezone: "Europe/Berlin", FromName: "Acme"})
	before := b.get()

	require.Equal(t, before.Settings, b.patch(`{}`).Settings)
	require.Equal(t, before.Settings, b.patch(`{"settings":{}}`).Settings)

	changed := b.patch(`{"name":"Acme Inc.","settings":{"dailyLimit":5,"rateLimitPer":"hour","burst":7,"weight":3}}`)
	want := before.Settings
	want.DailyLimit, want.RateLimitPer, want.Burst, want.Weight = ptr(5), "hour", ptr(7), ptr(3)
	require.Equal(t, "Acme Inc.", changed.Name)
	require.Equal(t, before.Domain, changed.Domain)
	require.Equal(t, want, changed.Settings)
	require.True(t, changed.UpdatedAt.After(before.UpdatedAt))
	require.Equal(t, changed, b.get())

	changed = b.patch(`{"settings":{"dailyLimit":null,"rateLimitPer":null,"burst":null,"weight":null,"timezone":null,"fromName":null}}`)
	require.Equal(t, tenant.Settings{
		FromEmail: "noreply@acme.com", RateLimit: ptr(60), RateLimitPer: "minute", Timezone: "UTC", OnUnknownOutcome: tenant.Resend,
		OverLimit: tenant.Reject,
	}, changed.Settings)

	a := b.ask(http.MethodPatch, tenantsPath+"/"+acme, b.operator, `{"settings":{"fromName":"New"}}`, "Content-Type", "application/merge-patch+json")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, "New", read[apiserver.Tenant](a).Settings.FromName)
}

func TestUpdateTenant_MovesTheDomainWithItsSender(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	require.Equal(t, []string{"body.settings.fromEmail sender_domain_not_allowed"},
		b.ask(http.MethodPatch, tenantsPath+"/"+acme, b.operator, `{"domain":"new.example"}`).fields(422, "validation_failed"))
	moved := b.patch(`{"domain":"New.Example","settings":{"fromEmail":"a@new.example"}}`)
	require.Equal(t, "new.example", moved.Domain)
	require.Equal(t, "a@new.example", moved.Settings.FromEmail)
}

func TestUpdateTenant_NotAPatch(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	path := tenantsPath + "/" + acme
	b.ask(http.MethodPatch, path, b.operator, `{"name":`).problem(http.StatusBadRequest, "malformed_request")
	b.ask(http.MethodPatch, path, b.operator, nil).problem(http.StatusBadRequest, "malformed_request")
	require.Equal(t, []string{"body invalid_value"}, b.ask(http.MethodPatch, path, b.operator, `[]`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.id unknown_field"}, b.ask(http.MethodPatch, path, b.operator, `{"id":"x"}`).fields(422, "validation_failed"))
	require.Equal(t, []string{"body.name invalid_name"}, b.ask(http.MethodPatch, path, b.operator, `{"name":null}`).fields(422, "validation_failed"))
}

func TestUpdateTenant_TellsRunningSends(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		temporal := &fakeTemporal{noQuota: !running}
		b := newBundleOn(t, temporal)
		b.tenant(acme, tenant.Settings{})
		before, err := b.store.Tenant(t.Context(), acme)
		require.NoError(t, err)
		b.patch(`{"settings":{"rateLimit":60,"burst":5}}`)
		require.Len(t, temporal.signals, 1)
		in, ok := temporal.signals[0].(flow.SetLimitsInput)
		require.True(t, ok)
		require.Equal(t, quota.Rate{Count: 60, Per: 60e9, Burst: 5}, in.Rate)
		require.Greater(t, in.Version, before.Version, "so that the newest limits win")
		require.NotContains(t, b.log.String(), "WARN", "without sends there is nobody to tell")
	}
}

func TestUpdateTenant_TemporalAway(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	require.Equal(t, ptr(60), b.patch(`{"settings":{"rateLimit":60}}`).Settings.RateLimit)
	require.Contains(t, b.log.String(), "changed limits reach running sends with their next lease")
}

func TestTenant_NotThere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, tenantID := range []string{"nobody", "Not-A-Slug", "%20"} {
		path := tenantsPath + "/" + tenantID
		b.ask(http.MethodGet, path, b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
		b.ask(http.MethodGet, path+"/usage", b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
		b.ask(http.MethodPatch, path, b.operator, `{"name":"x"}`).problem(http.StatusNotFound, "tenant_not_found")
		b.ask(http.MethodDelete, path, b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
	}
	b.ask(http.MethodGet, tenantsPath+"/"+strings.Repeat("x", 64), b.operator, nil).problem(422, "validation_failed")
}

func TestListTenants(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.JSONEq(t, `{"items":[],"nextCursor":null}`, b.ask(http.MethodGet, tenantsPath, b.operator, nil).Body)
	for _, tenantID := range []string{"a", "b", "c", "d", "e"} {
		b.provisioning(tenantID, tenant.Settings{})
	}
	b.exec(`UPDATE tenants SET created_at = '2026-01-01' WHERE id IN ('b', 'c')`) // paging does not stumble over the same instant
	tenants, sizes := walk[apiserver.ListedTenant](b, tenantsPath+"?limit=2", b.operator)
	require.Equal(t, []int{2, 2, 1}, sizes)
	var ids []string
	for _, item := range tenants {
		ids = append(ids, item.ID)
	}
	require.Equal(t, []string{"e", "d", "a", "c", "b"}, ids, "newest first")
	for query, want := range map[string]string{
		"after=x": "query.after invalid_cursor", "limit=0": "query.limit out_of_range", "limit=201": "query.limit out_of_range",
		"limit=x": "query.limit invalid_value", "page=2": "query.page invalid_value",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, tenantsPath+"?"+query, b.operator, nil).fields(422, "validation_failed"), query)
	}
}

func TestListTenants_WhereTheyStand(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10), FromEmail: "noreply@acme.com"})
	b.tenant("other", tenant.Settings{})
	b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"Hi"}`)
	before := must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath+"?q=ACME-", b.operator, nil)
	require.Len(t, before.Items, 1)
	require.Nil(t, before.Items[0].Usage.AsOf, "nobody has looked yet")
	now := time.Now()
	require.NoError(t, b.store.MakeSummaries(t.Context(), now))
	got := must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath+"?sort=backlog&limit=1", b.operator, nil)
	require.Len(t, got.Items, 1)
	require.NotNil(t, got.NextCursor)
	require.Equal(t, b.get(), got.Items[0].Tenant, "the tenant itself is as it is shown alone")
	u := got.Items[0].Usage
	require.Equal(t, []int{10, 2, 2, 0, 0}, []int{*u.Limit, u.Used, u.Backlog, u.Sent, u.Bounced})
	require.Equal(t, now.UTC().Format(time.DateOnly), u.Day)
	require.WithinDuration(t, now, *u.AsOf, time.Second)
	require.WithinDuration(t, now, *u.OldestWaitingAt, time.Minute)
	require.Positive(t, u.OldestAgeSeconds)
	require.Nil(t, u.BounceRate)
	next := must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath+"?sort=backlog&limit=1&after="+*got.NextCursor, b.operator, nil)
	require.Equal(t, "other", next.Items[0].ID)
	require.Nil(t, next.Items[0].Usage.Limit)
	require.Nil(t, next.NextCursor)

	b.exec(`UPDATE tenant_summaries SET sent = 3, bounced = 1 WHERE tenant_id = 'other'`)
	rate := must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath+"?sort=bounceRate&status=active", b.operator, nil)
	require.InDelta(t, 0.25, *rate.Items[0].Usage.BounceRate, 1e-9)
	for query, want := range map[string]string{
		"sort=size": "query.sort invalid_value", "order=up": "query.order invalid_value", "q=%00": "query.q invalid_character",
		"sort=name&after=" + *got.NextCursor: "query.after invalid_cursor",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, tenantsPath+"?"+query, b.operator, nil).fields(422, "validation_failed"), query)
	}
}
