package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// fakeStarter remembers the dispatches that it starts; err is what it answers instead.
type fakeStarter struct {
	err    error
	starts []email.Dispatch
}

var _ intake.Starter = (*fakeStarter)(nil)

func (f *fakeStarter) StartSendEmails(_ context.Context, d email.Dispatch) (string, error) {
	f.starts = append(f.starts, d)
	return "run", f.err
}

// bulk uploads so many lines to a bulk send.
func (b *bundle) bulk(lines int) uuid.UUID {
	b.t.Helper()
	shared := newEmail()
	shared.Class, shared.Content = email.Bulk, email.Content{Text: "Hi {{name}}"}
	bulkID := id.New()
	require.NoError(b.t, b.Store.CreateBulkSend(b.t.Context(), bulkID, "News", "", shared, time.Now()))
	var batch store.BulkBatch
	for i := range lines {
		batch.Lines = append(batch.Lines, store.BulkLine{
			Number: i + 2, To: address.Address{Addr: fmt.Sprintf("r%d@example.com", i)}, Variables: json.RawMessage(`{"name":"Ada"}`),
		})
	}
	_, err := b.Store.AddBulkBatch(b.t.Context(), bulkID, shared, batch, time.Now())
	require.NoError(b.t, err)
	_, err = b.Store.CompleteBulkSend(b.t.Context(), acme, bulkID, nil, time.Now())
	require.NoError(b.t, err)
	return bulkID
}

// takeChunk runs TakeChunk as a worker does.
func (b *bundle) takeChunk(starter intake.Starter, in activities.TakeChunkInput) (result activities.TakeChunkResult, err error) {
	b.t.Helper()
	bulkSends := &activities.BulkSends{Store: b.Store, Starter: starter, Log: slog.New(slog.DiscardHandler)}
	value, err := newActivityEnvironment(b.t, bulkSends).ExecuteActivity(bulkSends.TakeChunk, in)
	if err == nil {
		require.NoError(b.t, value.Get(&result))
	}
	return result, err
}

// What a chunk becomes is delivered like any email, with what its lines share.
func TestTakeChunk_StartsAndDelivers(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	starter := &fakeStarter{}
	in := activities.TakeChunkInput{TenantID: acme, BulkSendID: b.bulk(3), Window: 2000}
	result, err := b.takeChunk(starter, in)
	require.NoError(t, err)
	require.Equal(t, activities.TakeChunkResult{Status: "completed", Taken: 3}, result)
	require.Len(t, starter.starts, 1)
	require.Equal(t, email.Bulk, starter.starts[0].Class)
	stale, err := b.Store.ListStaleDispatches(t.Context(), time.Now().Add(time.Minute), 10)
	require.NoError(t, err)
	require.Empty(t, stale, "it is known to have started")
	delivered := b.deliver(activities.DeliverInput{TenantID: acme, DispatchID: starter.starts[0].ID})
	require.Equal(t, 3, delivered.Sent)
	again, err := b.takeChunk(starter, in)
	require.NoError(t, err)
	require.Zero(t, again.Taken)
	require.Len(t, starter.starts, 1)
}

// The chunk is taken all the same, and found by the sweep of dispatches.
func TestTakeChunk_StartFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	in := activities.TakeChunkInput{TenantID: acme, BulkSendID: b.bulk(2), Window: 1}
	result, err := b.takeChunk(&fakeStarter{err: errors.New("away")}, in)
	require.NoError(t, err)
	require.Equal(t, 2, result.Taken)
	stale, err := b.Store.ListStaleDispatches(t.Context(), time.Now().Add(time.Minute), 10)
	require.NoError(t, err)
	require.Len(t, stale, 1)
	require.Equal(t, 2, stale[0].Emails)
}

func TestTakeChunk_Errors(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	_, err := b.takeChunk(&fakeStarter{}, activities.TakeChunkInput{TenantID: acme, BulkSendID: id.New(), Window: 1})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "bulk_send_not_found", failure.Type())
	require.True(t, failure.NonRetryable())
	bulkID := b.bulk(1)
	b.Store.Close()
	_, err = b.takeChunk(&fakeStarter{}, activities.TakeChunkInput{TenantID: acme, BulkSendID: bulkID, Window: 1})
	require.ErrorAs(t, err, &failure)
	require.False(t, failure.NonRetryable(), "the database comes back")
}
