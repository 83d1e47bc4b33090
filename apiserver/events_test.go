package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

const eventsPath = v1 + "/events"

// log reads a tenant's events, once there are so many: transactions of other tests on the
// same server hold them back for a moment.
func (b *bundle) events(key, query string, count int) (list apiserver.EventList) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		list = must[apiserver.EventList](b, http.StatusOK, http.MethodGet, eventsPath+query, key, nil)
		return len(list.Items) >= count
	}, 20*time.Second, 5*time.Millisecond)
	require.Len(b.t, list.Items, count)
	return list
}

func TestListEvents(t *testing.T) {
	t.Parallel()
	limit := 2
	b, key := newAcme(t, tenant.Settings{DailyLimit: &limit})
	require.Nil(t, b.events(key, "", 0).NextCursor)
	sent := b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"Hi","tags":["invoice"]}`)

	all := b.events(key, "", 5)
	require.Equal(t, all.Items[4].ID, *all.NextCursor)
	require.Equal(t, "quota.reached", all.Items[2].Type)
	require.Equal(t, [3]int{100, 2, 2}, [3]int{all.Items[2].Data.Percent, *all.Items[2].Data.Limit, *all.Items[2].Data.Used})
	accepted := all.Items[3]
	require.Equal(t, "email.accepted", accepted.Type)
	require.Equal(t, apiserver.EventData{
		EmailID: sent.ID, RecipientID: sent.Recipients[0].ID, Recipient: "ada@example.com", Kind: "to", Subject: "Hi", Tags: []string{"invoice"},
	}, accepted.Data)

	first := b.events(key, "?limit=1&type=email.accepted,email.sent", 1)
	require.Equal(t, accepted, first.Items[0])
	second := b.events(key, "?after="+*first.NextCursor, 1)
	require.Equal(t, all.Items[4:], second.Items)
	end := b.events(key, "?after="+*second.NextCursor, 0)
	require.Equal(t, second.NextCursor, end.NextCursor, "a reader goes on from here")

	other := b.tenant("other", tenant.Settings{})
	require.Empty(t, b.events(other, "", 0).Items)
	require.Empty(t, b.events(other, "?after="+accepted.ID, 0).Items)
}

func TestListEvents_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for query, want := range map[string]string{
		"?after=msg_01h455vb4pex5vsknk084sn02q": "query.after invalid_cursor", "?after=x": "query.after invalid_cursor",
		"?limit=0": "query.limit out_of_range", "?limit=1001": "query.limit out_of_range", "?type=email.eaten": "query.type[0] invalid_value",
	} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, eventsPath+query, key, nil).fields(422, "validation_failed"), query)
	}
}

// What the log can have, it can be asked for.
func TestEvents_EveryTypeCanBeAskedFor(t *testing.T) {
	t.Parallel()
	types := readDocument(t).Components.Schemas["Event"]["properties"].(map[string]any)["type"].(map[string]any)["enum"]
	for _, op := range operations(t) {
		for _, p := range op.Parameters {
			if (op.OperationID == "list-events" || op.OperationID == "stream-events") && p.Name == "type" {
				require.Equal(t, types, p.Schema["items"].(map[string]any)["enum"], op.OperationID)
			}
		}
	}
	require.Contains(t, types, "domain.lost")
}
