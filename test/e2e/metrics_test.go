package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// What was sent is counted at once, and rolled up by the worker without changing the count.
func TestMetrics_BeforeAndAfterTheRollUp(t *testing.T) {
	t.Parallel()
	id, c := shared.newTenant(t, mailtura.Settings{})
	sent := send(t, c, mailtura.SendEmail{To: to(address(t, "ada"), address(t, "bob")), Subject: ptr("Hi"), Text: ptr("Hi"), Tags: &[]string{"x"}})
	total := func(groupBy *mailtura.GetMetricsParamsGroupBy) []mailtura.MetricsRow {
		answer, err := c.GetMetricsWithResponse(t.Context(), &mailtura.GetMetricsParams{Interval: ptr(mailtura.GetMetricsParamsInterval("total")), GroupBy: groupBy})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
		return answer.JSON200.Items
	}
	require.EqualValues(t, 2, total(nil)[0].Accepted)
	awaitStatus(t, c, sent.Id, "sent", 60*time.Second)
	require.EqualValues(t, 2, total(nil)[0].Sent)
	require.InDelta(t, 1, *total(nil)[0].DeliveryRate, 0)

	conn, err := pgx.Connect(t.Context(), shared.DatabaseURL())
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // a test's connection
	require.Eventually(t, func() bool {
		var rolled int64
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT coalesce(sum(sent), 0) FROM metrics
			WHERE tenant_id = $1 AND dimension = 'total' AND grain = 'quarter'`, id).Scan(&rolled))
		return rolled == 2
	}, 60*time.Second, 100*time.Millisecond)
	require.EqualValues(t, 2, total(nil)[0].Accepted)
	require.EqualValues(t, 2, total(nil)[0].Sent)
	tags := total(ptr(mailtura.GetMetricsParamsGroupBy("tag")))
	require.Len(t, tags, 1)
	require.Equal(t, "x", *tags[0].Group)
}
