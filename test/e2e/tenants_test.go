package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

func reader(s string) io.Reader { return strings.NewReader(s) }

// Deleting a tenant removes every row of it, its key is refused, and a new tenant of the
// same id sees nothing of the old one.
func TestDeleteTenant_LeavesNothing(t *testing.T) {
	t.Parallel()
	id, c := shared.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(60)), Burst: ptr(int64(1))})
	operator := shared.client(t, shared.Key, "")
	_, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{Name: "note", Subject: ptr("Hi"), Text: ptr("Hi")})
	require.NoError(t, err)
	newEndpoint(t, good).register(t, c, "email.sent")
	once := func(c *mailtura.ClientWithResponses, subject string) *mailtura.Accepted {
		answer, err := c.SendEmailWithResponse(t.Context(), &mailtura.SendEmailParams{IdempotencyKey: ptr("once")},
			mailtura.SendEmail{To: to(address(t, "ada")), Subject: &subject, Text: ptr("Hi")})
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
		return answer.JSON202
	}
	once(c, "of the old one")
	var last string
	for range 15 { // more than go out at once: some are under way when the tenant goes
		last = send(t, c, mailtura.SendEmail{To: to(address(t, "ada"), address(t, "bob")), Template: ptr("note")}).Id
	}
	deleted, err := operator.DeleteTenantWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, deleted.StatusCode(), string(deleted.Body))
	require.Equal(t, "/api/v1/tenant-deletions/"+deleted.JSON202.Id, deleted.HTTPResponse.Header.Get("Location"))

	refused, err := c.GetEmailWithResponse(t.Context(), last, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode(), "the key is refused at once")

	var deletion *mailtura.TenantDeletion
	require.Eventually(t, func() bool {
		answer, err := operator.GetTenantDeletionWithResponse(t.Context(), deleted.JSON202.Id, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
		deletion = answer.JSON200
		return deletion.Status == "completed"
	}, 60*time.Second, 100*time.Millisecond)
	require.NotNil(t, deletion.FinishedAt)
	require.EqualValues(t, 16, deletion.Receipt.Rows["emails"])
	require.EqualValues(t, 31, deletion.Receipt.Rows["recipients"])
	require.EqualValues(t, 1, deletion.Receipt.Rows["templates"])
	require.EqualValues(t, 1, deletion.Receipt.Rows["api_keys"])
	require.Equal(t, "tenant/"+id+"/"+deletion.Id, deletion.Workflow.Id)
	requireNoRows(t, id)

	gone, err := operator.GetTenantWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, gone.StatusCode())
	again, err := operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{Name: id, Domain: "acme.com", Settings: &mailtura.Settings{FromEmail: ptr("noreply@acme.com")}})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, again.StatusCode(), string(again.Body))
	fresh := shared.client(t, shared.newKey(t, id), "")
	list, err := fresh.ListEmailsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, list.JSON200.Items)
	templates, err := fresh.ListTemplatesWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, templates.JSON200.Items)
	old, err := fresh.GetEmailWithResponse(t.Context(), last, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, old.StatusCode())
	webhooks, err := fresh.ListWebhooksWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, webhooks.JSON200.Items)
	metrics, err := fresh.GetMetricsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, metrics.StatusCode(), string(metrics.Body))
	for _, row := range metrics.JSON200.Items {
		require.Zero(t, row.Accepted)
	}
	accepted := once(fresh, "of the new one") // with a key that the old one has used for another request
	require.EqualValues(t, 1, accepted.Quota.Used)
	awaitStatus(t, fresh, accepted.Id, "sent", 60*time.Second)
}

// requireNoRows looks in every table that has a tenant.
func requireNoRows(t *testing.T, tenantID string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), shared.DatabaseURL())
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // a test's connection
	rows, err := conn.Query(t.Context(), `SELECT table_name FROM information_schema.columns
		WHERE table_schema = 'public' AND column_name = 'tenant_id' AND table_name NOT IN ('tenant_deletions', 'audit_log')`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(tables), 9)
	for _, table := range tables {
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), fmt.Sprintf("SELECT count(*) FROM %s WHERE tenant_id = $1", pgx.Identifier{table}.Sanitize()), tenantID).Scan(&n))
		require.Zero(t, n, table)
	}
}

func TestTenants_KeysAreTheirOwn(t *testing.T) {
	t.Parallel()
	a, _ := shared.newTenant(t, mailtura.Settings{})
	_, b := shared.newTenant(t, mailtura.Settings{})
	key := shared.newKey(t, a)
	keys, err := shared.client(t, key, "").ListApiKeysWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, keys.JSON200.Items, 2)
	mine := keys.JSON200.Items[0]
	require.True(t, strings.HasPrefix(key, strings.TrimSuffix(mine.Prefix, "…")))

	foreign, err := b.RevokeApiKeyWithResponse(t.Context(), mine.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, foreign.StatusCode())
	revoked, err := shared.client(t, shared.Key, a).RevokeApiKeyWithResponse(t.Context(), mine.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, revoked.StatusCode())
	refused, err := shared.client(t, key, "").GetUsageWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode())
}
