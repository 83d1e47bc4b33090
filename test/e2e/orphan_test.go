package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// Somebody terminates the workflow of an email that waits to be tried again: the email goes
// on in another one.
func TestSend_WorkflowIsTerminated(t *testing.T) {
	t.Parallel()
	id, c := shared.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(1)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("hour")), Burst: ptr(int64(1))})
	recipient := address(t, "ada")
	send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("takes the permit"), Text: ptr("Hi")})
	shared.await(t, recipient, 1, 60*time.Second)
	waits := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("waits"), Text: ptr("Hi")})
	var before *mailtura.Workflow
	require.Eventually(t, func() bool {
		answer, err := c.GetEmailWithResponse(t.Context(), waits.Id, nil)
		require.NoError(t, err)
		before = answer.JSON200.Workflow
		return before != nil
	}, 60*time.Second, 100*time.Millisecond)

	temporal, err := client.Dial(client.Options{HostPort: shared.Temporal.Address, Namespace: shared.Name})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	require.NoError(t, temporal.TerminateWorkflow(t.Context(), before.Id, "", "by hand"))
	require.Equal(t, 2, shared.number(t, `WITH aged AS (
		UPDATE dispatches SET created_at = now() - interval '1 hour' WHERE tenant_id = $1 RETURNING 1) SELECT count(*)::int FROM aged`, id))
	require.Eventually(t, func() bool {
		answer, err := c.GetEmailWithResponse(t.Context(), waits.Id, nil)
		require.NoError(t, err)
		return answer.JSON200.Workflow != nil && answer.JSON200.Workflow.Id != before.Id
	}, 60*time.Second, 200*time.Millisecond, "another workflow carries it")
	patched, err := shared.client(t, shared.Key, "").UpdateTenantWithBodyWithResponse(t.Context(), id, nil, "application/json",
		reader(`{"settings":{"rateLimit":null}}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, patched.StatusCode(), string(patched.Body))
	awaitStatus(t, c, waits.Id, "sent", 60*time.Second)
	require.Len(t, shared.received(t, recipient), 2)
}
