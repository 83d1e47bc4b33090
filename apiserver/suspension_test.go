package apiserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// suspend suspends acme-corp.
func (b *bundle) suspend(body string) apiserver.Tenant {
	b.t.Helper()
	return must[apiserver.Tenant](b, http.StatusOK, http.MethodPost, tenantsPath+"/"+acme+"/suspend", b.operator, body)
}

// resume ends suspensions of acme-corp.
func (b *bundle) resume(body any) apiserver.Tenant {
	b.t.Helper()
	return must[apiserver.Tenant](b, http.StatusOK, http.MethodPost, tenantsPath+"/"+acme+"/resume", b.operator, body)
}

const goodEmail = `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`

func TestSuspendTenant(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{FromEmail: "a@acme.com"})
	other := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	require.Equal(t, apiserver.Suspension{}, b.get().Suspension)

	suspended := b.suspend(`{"reason":"late"}`)
	require.Equal(t, "suspended", suspended.Status)
	require.Equal(t, "late", suspended.Suspension.Operator.Reason)
	require.Nil(t, suspended.Suspension.Guardrail)
	require.Equal(t, suspended, b.get())
	require.Equal(t, suspended, b.suspend(`{"reason":"late","drain":true}`), "nothing is left to drain")
	require.Equal(t, []string{acme}, tenantIDs(b, "?status=suspended"))

	b.ask(http.MethodPost, emailsPath, key, goodEmail).problem(http.StatusForbidden, "tenant_suspended")
	b.ask(http.MethodPost, emailsPath, b.operator, goodEmail, "X-Tenant-ID", acme).problem(http.StatusForbidden, "tenant_suspended")
	b.ask(http.MethodPost, emailsPath+"/batch", key, `{"emails":[`+goodEmail+`]}`).problem(http.StatusForbidden, "tenant_suspended")
	b.ask(http.MethodPost, bulkPath, key, `{"subject":"Hi","text":"Hi"}`+"\n"+`{"to":"a@example.com"}`, "Content-Type", "application/x-ndjson").
		problem(http.StatusForbidden, "tenant_suspended")
	b.post(other, goodEmail)

	require.Equal(t, "active", b.resume(nil).Status)
	require.Equal(t, b.get(), b.resume(`{}`), "it is resumed already")
	b.post(key, goodEmail)
	follow := flow.SuspendTenantID(acme) + " " + flow.SuspensionSignal
	require.Equal(t, []string{follow, follow, follow, follow}, temporal.sent)
}

func tenantIDs(b *bundle, query string) (ids []string) {
	b.t.Helper()
	for _, one := range must[page[apiserver.ListedTenant]](b, http.StatusOK, http.MethodGet, tenantsPath+query, b.operator, nil).Items {
		ids = append(ids, one.ID)
	}
	return ids
}

// Everything but sending works as before.
func TestSuspendTenant_OnlySendingStops(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	sent := b.post(key, goodEmail)
	b.suspend(`{"reason":"late"}`)
	for _, path := range []string{
		emailsPath, emailsPath + "/" + sent.ID, emailsPath + "/" + sent.ID + "/timeline", emailsPath + "/" + sent.ID + "/content",
		templatesPath, bulkPath, webhooksPath, v1 + "/api-keys", v1 + "/usage", v1 + "/events",
	} {
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, path, key, nil).Status, path)
	}
	b.template(key, `{"name":"welcome","text":"Hi"}`)
	b.newKey(v1+"/api-keys", key, "another")
	require.Equal(t, "New", b.patch(`{"name":"New"}`).Name)
	require.Equal(t, http.StatusOK, b.ask(http.MethodPost, emailsPath+"/"+sent.ID+"/cancel", key, nil).Status)
}

func TestSuspendTenant_Drain(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	require.Equal(t, "draining", b.suspend(`{"reason":"bye","drain":true}`).Status)
	b.ask(http.MethodPost, emailsPath, key, goodEmail).problem(http.StatusForbidden, "tenant_suspended")
	require.Equal(t, []string{acme}, tenantIDs(b, "?status=draining"))
	now := b.suspend(`{"reason":"at once"}`)
	require.Equal(t, "suspended", now.Status, "a drain can be cut short")
	require.False(t, now.Suspension.Operator.Drain)
}

func TestResumeTenant_Only(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	_, err := b.store.Suspend(t.Context(), acme, tenant.Guardrail, tenant.Flag{Since: time.Now(), Reason: "7 % bounced"})
	require.NoError(t, err)
	b.suspend(`{"reason":"late"}`)
	left := b.resume(`{"only":"operator"}`)
	require.Equal(t, "suspended", left.Status)
	require.Nil(t, left.Suspension.Operator)
	require.Equal(t, "7 % bounced", left.Suspension.Guardrail.Reason)
	require.Equal(t, "active", b.resume(`{"only":"guardrail"}`).Status)
	_, err = b.store.Suspend(t.Context(), acme, tenant.Guardrail, tenant.Flag{Since: time.Now(), Reason: "7 % bounced"})
	require.NoError(t, err)
	b.suspend(`{"reason":"late"}`)
	require.Equal(t, "active", b.resume(nil).Status, "both")
}

// The fence is in the database: it needs no workflow engine, and a sweep tells that when it is back.
func TestSuspendTenant_TemporalAway(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	began := time.Now()
	require.Equal(t, "suspended", b.suspend(`{"reason":"late"}`).Status)
	require.Less(t, time.Since(began), 30*time.Second)
	b.ask(http.MethodPost, emailsPath, key, goodEmail).problem(http.StatusForbidden, "tenant_suspended")
	require.Contains(t, b.log.String(), "suspension is followed by the next sweep")
	unfollowed, err := b.store.Unfollowed(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []string{acme}, unfollowed)
}

func TestSuspendTenant_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	suspend, resume := tenantsPath+"/"+acme+"/suspend", tenantsPath+"/"+acme+"/resume"
	for body, field := range map[string]string{
		`{}`:                         "body required",
		`{"reason":""}`:              "body.reason bad_length",
		`{"reason":" "}`:             "body.reason invalid_value",
		`{"reason":"a\nb"}`:          "body.reason header_injection",
		`{"reason":"a","drain":"x"}`: "body.drain invalid_value",
		`{"reason":"` + strings.Repeat("x", 501) + `"}`: "body.reason bad_length",
	} {
		require.Equal(t, []string{field}, b.ask(http.MethodPost, suspend, b.operator, body).fields(422, "validation_failed"), body)
	}
	require.Equal(t, []string{"body.only invalid_value"}, b.ask(http.MethodPost, resume, b.operator, `{"only":"me"}`).fields(422, "validation_failed"))
	for _, path := range []string{suspend, resume} {
		b.ask(http.MethodPost, path, key, `{"reason":"mine"}`).problem(http.StatusForbidden, "operator_required")
	}
	require.Equal(t, "active", b.get().Status)
	b.ask(http.MethodPost, tenantsPath+"/nobody/suspend", b.operator, `{"reason":"x"}`).problem(http.StatusNotFound, "tenant_not_found")
	b.ask(http.MethodPost, tenantsPath+"/nobody/resume", b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
	b.remove()
	b.ask(http.MethodPost, suspend, b.operator, `{"reason":"x"}`).problem(http.StatusConflict, "tenant_deleting")
	b.ask(http.MethodPost, resume, b.operator, nil).problem(http.StatusConflict, "tenant_deleting")
}

func TestSuspendTenant_EventsAndAudit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.suspend(`{"reason":"late","drain":true}`)
	b.resume(nil)
	var events apiserver.EventList
	require.Eventually(t, func() bool {
		events = must[apiserver.EventList](b, http.StatusOK, http.MethodGet, v1+"/events?type=tenant.suspended,tenant.resumed", key, nil)
		return len(events.Items) == 2
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, apiserver.EventData{By: "operator", Reason: "late", Drain: ptr(true)}, events.Items[0].Data)
	require.EqualValues(t, "tenant.resumed", events.Items[1].Type)
	require.Equal(t, apiserver.EventData{}, events.Items[1].Data)
	a := b.ask(http.MethodGet, v1+"/audit-log?limit=2", b.operator, nil)
	require.Contains(t, a.Body, `"action":"tenant.suspend"`)
	require.Contains(t, a.Body, `"action":"tenant.resume"`)
	require.Contains(t, a.Body, `"operator_key"`)
}

// The timeline says what an email waits for, and since when.
func TestTimeline_OfASuspendedTenant(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	queued := b.post(key, goodEmail)
	retried, later := b.post(key, goodEmail), b.post(key, goodEmail)
	scheduled := b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi","scheduledAt":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = now() WHERE email_id = $1`, emailID(t, retried.ID))
	b.exec(`UPDATE recipients SET status = 'deferred', next_attempt_at = now() + interval '1 hour' WHERE email_id = $1`, emailID(t, later.ID))
	since := b.suspend(`{"reason":"late"}`).Suspension.Operator.Since
	waits := func(id string) (reasons []string) {
		for _, e := range must[apiserver.Timeline](b, http.StatusOK, http.MethodGet, emailsPath+"/"+id+"/timeline", key, nil).Entries {
			if e.Type == "wait" {
				reasons = append(reasons, e.Reason)
			}
			if e.Reason == "tenant_suspended" {
				require.Equal(t, since, e.At)
				require.Nil(t, e.Until)
			}
		}
		return reasons
	}
	require.Equal(t, []string{"dispatch", "tenant_suspended"}, waits(queued.ID))
	require.Equal(t, []string{"retry", "tenant_suspended"}, waits(retried.ID))
	require.Equal(t, []string{"retry"}, waits(later.ID))
	require.Equal(t, []string{"scheduled"}, waits(scheduled.ID))
	b.resume(nil)
	require.Equal(t, string(email.Queued), b.email(key, queued.ID).Status)
}

func emailID(t *testing.T, text string) uuid.UUID {
	t.Helper()
	parsed, err := id.Email.Parse(text)
	require.NoError(t, err)
	return parsed
}

// A key of a suspended tenant is as good, and as bad, as it was: of another's it sees nothing.
func TestIsolation_KeyOfASuspendedTenant(t *testing.T) {
	t.Parallel()
	b, mine := newAcme(t, tenant.Settings{})
	theirs := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	sent := b.post(theirs, goodEmail)
	b.suspend(`{"reason":"late"}`)
	for _, op := range operations(t) {
		a := b.ask(op.method, op.at(sent.ID), mine, op.body(t), "Content-Type", op.mediaType(), "X-Tenant-ID", "other")
		want := "tenant_mismatch"
		if !op.ofTenants() || op.acting() {
			want = "operator_required"
		}
		a.problem(http.StatusForbidden, want)
		readDocument(t).check(t, op, a)
	}
	require.Equal(t, http.StatusNotFound, b.ask(http.MethodGet, emailsPath+"/"+sent.ID, mine, nil).Status)
	b.ask(http.MethodPost, tenantsPath+"/"+acme+"/resume", mine, nil).problem(http.StatusForbidden, "operator_required")
	require.Equal(t, "suspended", b.get().Status)
}
