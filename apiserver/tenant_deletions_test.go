package apiserver_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// remove deletes acme-corp, and gives the deletion and the path that it says it is at.
func (b *bundle) remove() (d apiserver.TenantDeletion, location string) {
	b.t.Helper()
	a := b.ask(http.MethodDelete, tenantsPath+"/"+acme, b.operator, nil)
	require.Equal(b.t, http.StatusAccepted, a.Status, a.Body)
	d = read[apiserver.TenantDeletion](a)
	require.Equal(b.t, acme, d.TenantID)
	require.Equal(b.t, v1+"/tenant-deletions/"+d.ID, a.Header.Get("Location"))
	return d, a.Header.Get("Location")
}

func TestDeleteTenant(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{})
	other := b.tenant("other", tenant.Settings{})

	d, location := b.remove()
	require.Equal(t, "running", d.Status)
	require.Nil(t, d.FinishedAt)
	require.Equal(t, "deleting", b.get().Status)
	b.ask(http.MethodGet, v1+"/emails", key, nil).problem(http.StatusUnauthorized, "invalid_key")
	b.ask(http.MethodPatch, tenantsPath+"/"+acme, b.operator, `{"name":"x"}`).problem(http.StatusConflict, "tenant_deleting")
	b.ask(http.MethodPost, tenantsPath, b.operator, `{"name":"acme-corp","domain":"acme.com"}`).problem(http.StatusConflict, "tenant_exists")
	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, v1+"/emails", other, nil).Status)

	again, _ := b.remove()
	require.Equal(t, d.ID, again.ID, "it is the same deletion")
	require.Len(t, temporal.started, 1, "which runs already")

	shown := must[apiserver.TenantDeletion](b, http.StatusOK, http.MethodGet, location, b.operator, nil)
	require.NotNil(t, shown.Workflow)
	require.Equal(t, "tenant/"+acme+"/"+d.ID, shown.Workflow.ID)
	require.Equal(t, "run-of-"+shown.Workflow.ID, shown.Workflow.RunID)
	require.True(t, strings.HasPrefix(shown.Workflow.URL, "http://temporal.example/namespaces/"+flow.Namespace+"/workflows/"), shown.Workflow.URL)
	require.True(t, strings.HasSuffix(shown.Workflow.URL, "/history"), shown.Workflow.URL)
}

func TestDeleteTenant_TemporalAway(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	d, location := b.remove()
	b.ask(http.MethodGet, v1+"/emails", key, nil).problem(http.StatusUnauthorized, "invalid_key")
	require.Contains(t, b.log.String(), "deletion is started by the next sweep")
	shown := must[apiserver.TenantDeletion](b, http.StatusOK, http.MethodGet, location, b.operator, nil)
	require.Empty(t, shown.Workflow.RunID, "nothing runs yet")
	require.False(t, strings.HasSuffix(shown.Workflow.URL, "/history"), shown.Workflow.URL)
	shown.Workflow = nil
	require.Equal(t, d, shown)
}

// The record outlives the tenant, and its name is free again.
func TestTenantDeletion_Completed(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	d, location := b.remove()
	deletionID, err := id.Deletion.Parse(d.ID)
	require.NoError(t, err)
	for _, table := range store.TenantTables {
		_, err := b.store.DeleteTenantRows(t.Context(), acme, deletionID, table, 100)
		require.NoError(t, err)
	}
	shown := must[apiserver.TenantDeletion](b, http.StatusOK, http.MethodGet, location, b.operator, nil)
	require.Equal(t, map[string]apiserver.TableProgress{"api_keys": {Deleted: 1}}, shown.Progress)
	finished, err := b.store.FinishDeletion(t.Context(), acme, deletionID)
	require.NoError(t, err)
	require.True(t, finished)

	shown = must[apiserver.TenantDeletion](b, http.StatusOK, http.MethodGet, location, b.operator, nil)
	require.Equal(t, "completed", shown.Status)
	require.NotNil(t, shown.FinishedAt)
	require.WithinDuration(t, time.Now(), *shown.FinishedAt, time.Minute)
	b.ask(http.MethodGet, tenantsPath+"/"+acme, b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
	b.ask(http.MethodDelete, tenantsPath+"/"+acme, b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
	must[apiserver.Tenant](b, http.StatusCreated, http.MethodPost, tenantsPath, b.operator, `{"name":"acme-corp","domain":"acme.com"}`)
}

func TestTenantDeletion_NotThere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, deletionID := range []string{id.Deletion.NewString(), id.Email.NewString(), "x", "%00"} {
		b.ask(http.MethodGet, v1+"/tenant-deletions/"+deletionID, b.operator, nil).problem(http.StatusNotFound, "deletion_not_found")
	}
}

// restoring asks for acme-corp to be restored.
func (b *bundle) restoring(headers ...string) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, tenantsPath+"/"+acme+"/restore", b.operator, nil, headers...)
}

func TestDeleteTenant_WithGrace(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{})
	before := b.get()
	a := b.ask(http.MethodDelete, tenantsPath+"/"+acme+"?grace=72h", b.operator, nil)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	d := read[apiserver.TenantDeletion](a)
	require.Equal(t, "scheduled", d.Status)
	require.WithinDuration(t, time.Now().Add(72*time.Hour), *d.GraceEndsAt, time.Minute)
	require.Nil(t, d.StartedAt)
	require.Nil(t, d.Receipt)
	b.ask(http.MethodGet, v1+"/emails", key, nil).problem(http.StatusUnauthorized, "invalid_key")
	require.Equal(t, "deleting", b.get().Status)
	b.ask(http.MethodPost, tenantsPath+"/"+acme+"/suspend", b.operator, `{"reason":"x"}`).problem(http.StatusConflict, "tenant_deleting")

	again, _ := b.remove()
	require.Equal(t, d.GraceEndsAt, again.GraceEndsAt, "asked for again it is the same deletion")
	b.restoring("If-Match", `"stale"`).problem(http.StatusPreconditionFailed, "precondition_failed")
	restored := b.restoring()
	require.Equal(t, http.StatusOK, restored.Status, restored.Body)
	require.Equal(t, before.Status, read[apiserver.Tenant](restored).Status)
	require.Equal(t, http.StatusOK, b.ask(http.MethodGet, v1+"/emails", key, nil).Status, "the keys are good again")
	b.restoring().problem(http.StatusConflict, "tenant_not_deleting")
	deletions, _ := walk[apiserver.TenantDeletion](b, v1+"/tenant-deletions?limit=100&tenantId="+acme, b.operator)
	require.Len(t, deletions, 1)
	require.Equal(t, "restored", deletions[0].Status)
	require.Equal(t, "tenant/"+acme+"/"+d.ID, deletions[0].Workflow.ID)
}

func TestRestoreTenant_Not(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	b.restoring().problem(http.StatusConflict, "tenant_not_deleting")
	b.remove()
	b.restoring().problem(http.StatusConflict, "deletion_not_reversible")
	b.ask(http.MethodPost, tenantsPath+"/nobody/restore", b.operator, nil).problem(http.StatusNotFound, "tenant_not_found")
}

func TestDeleteTenant_Grace(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	for _, grace := range []string{"3", "3d", "-1h", "721h", "x", "72h%00", "1h1"} {
		require.Equal(t, []string{"query.grace invalid_value"}, b.ask(http.MethodDelete, tenantsPath+"/"+acme+"?grace="+grace, b.operator, nil).fields(http.StatusUnprocessableEntity, "validation_failed"))
	}
	require.Equal(t, "active", b.get().Status)
	for grace, seconds := range map[string]int{"720h": 720 * 3600, "1h30m": 5400, "1.5s": 2} { // each is shorter, or changes nothing
		a := b.ask(http.MethodDelete, tenantsPath+"/"+acme+"?grace="+grace, b.operator, nil)
		require.Equal(t, http.StatusAccepted, a.Status, a.Body)
		d := read[apiserver.TenantDeletion](a)
		require.False(t, d.GraceEndsAt.After(time.Now().Add(time.Duration(seconds)*time.Second+time.Minute)))
	}
}

// Who has kept the answer can see that its hash is right, with nothing but the answer.
func TestTenantDeletion_ReceiptHash(t *testing.T) {
	t.Parallel()
	b, _ := newAcme(t, tenant.Settings{})
	d, location := b.remove()
	deletionID, err := id.Deletion.Parse(d.ID)
	require.NoError(t, err)
	for _, table := range store.TenantTables {
		_, err := b.store.DeleteTenantRows(t.Context(), acme, deletionID, table, 100)
		require.NoError(t, err)
	}
	_, err = b.store.FinishDeletion(t.Context(), acme, deletionID)
	require.NoError(t, err)
	answer := b.ask(http.MethodGet, location, b.operator, nil)
	var shown struct{ Receipt map[string]any }
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &shown))
	said := shown.Receipt["hash"]
	delete(shown.Receipt, "hash")
	canonical, err := json.Marshal(shown.Receipt) // RFC 8785: the members are in order, and there is nothing to escape
	require.NoError(t, err)
	sum := sha256.Sum256(canonical)
	require.Equal(t, hex.EncodeToString(sum[:]), said)
	require.Equal(t, true, shown.Receipt["verifiedZero"])
	require.Equal(t, d.ID, shown.Receipt["deletionId"])
	rows, ok := shown.Receipt["rows"].(map[string]any)
	require.True(t, ok)
	require.EqualValues(t, 1, rows["api_keys"])
	require.EqualValues(t, 0, rows["emails"])
}
