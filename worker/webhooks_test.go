package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/worker"
)

// SignalWithStartWorkflow notes the start as ExecuteWorkflow does.
func (f *fakeTemporal) SignalWithStartWorkflow(
	ctx context.Context, workflowID, signal string, _ any, o client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, start{workflowID + " " + signal, o.TaskQueue, telemetry.Tenant(ctx)})
	return fakeRun{}, f.err
}

const acme = "acme-corp"

// withWebhook is a store with a tenant that has a webhook.
func withWebhook(t *testing.T) (*store.Store, uuid.UUID) {
	t.Helper()
	s := testkit.Store(t)
	_, err := s.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: acme, Domain: "acme.com"})
	require.NoError(t, err)
	require.NoError(t, s.ActivateTenant(t.Context(), acme))
	w, err := s.CreateWebhook(t.Context(), store.Webhook{
		TenantID: acme, ID: id.New(), URL: "https://acme.com/", Events: []string{"*"}, Enabled: true, Secret: []byte("sealed"),
	})
	require.NoError(t, err)
	return s, w.ID
}

// happen makes an event.
func happen(t *testing.T, s *store.Store) {
	t.Helper()
	e := email.Email{
		ID: id.New(), TenantID: acme, From: address.Address{Addr: "a@acme.com"}, Class: email.Transactional, Content: email.Content{Text: "x"},
		Recipients: []email.Recipient{{ID: id.New(), Kind: email.To, Address: address.Address{Addr: "ada@example.com"}}},
	}
	_, err := s.Accept(t.Context(), time.Now(), []intake.Request{{Emails: []email.Email{e}}})
	require.NoError(t, err)
}

// wakes begins to wake webhooks until the test ends.
func wakes(t *testing.T, s *store.Store, temporal *fakeTemporal) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log, _ := newLog()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		worker.WakeWebhooks(ctx, s, flow.NewClient(temporal, nil), log)
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// What happens wakes the workflow of the webhook, once.
func TestWakeWebhooks(t *testing.T) {
	t.Parallel()
	s, webhookID := withWebhook(t)
	temporal := &fakeTemporal{}
	wakes(t, s, temporal)
	happen(t, s)
	want := start{flow.DeliverWebhooksID(acme, webhookID) + " " + flow.WakeSignal, flow.WebhookQueue, acme}
	require.Eventually(t, func() bool { return len(temporal.started()) > 0 }, 20*time.Second, 10*time.Millisecond)
	happen(t, s)
	require.Equal(t, []start{want}, temporal.started(), "and not again while somebody is at it")
	w, err := s.Webhook(t.Context(), acme, webhookID)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(10*time.Second), w.QuietUntil, 10*time.Second)
}

// Without Temporal the events wait: the webhook is woken again.
func TestWakeWebhooks_TemporalIsAway(t *testing.T) {
	t.Parallel()
	s, webhookID := withWebhook(t)
	happen(t, s)
	temporal := &fakeTemporal{err: context.DeadlineExceeded}
	wakes(t, s, temporal)
	require.Eventually(t, func() bool { return len(temporal.started()) == 1 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, s.RestWebhook(t.Context(), store.WebhookRef{TenantID: acme, ID: webhookID}, time.Now()))
	require.Eventually(t, func() bool { return len(temporal.started()) > 1 }, 20*time.Second, 10*time.Millisecond)
}

// What is old in the logs of calls is deleted with what else is not needed any more.
func TestRecover_ForgetsOldCalls(t *testing.T) {
	t.Parallel()
	s, webhookID := withWebhook(t)
	week := 7 * 24 * time.Hour
	var calls store.WebhookCalls
	for _, age := range []time.Duration{week + time.Hour, week - time.Hour} {
		calls.Calls = append(calls.Calls, store.WebhookDelivery{EventID: id.New(), EventType: "email.sent", Attempt: 1, StartedAt: time.Now().Add(-age), Status: 200})
	}
	require.NoError(t, s.WriteWebhookCalls(t.Context(), store.WebhookRef{TenantID: acme, ID: webhookID}, calls))
	log, _ := newLog()
	end := recovering(t, s, &fakeTemporal{}, log)
	require.Eventually(t, func() bool {
		left, _, err := s.ListWebhookDeliveries(t.Context(), acme, webhookID, store.DeliveryQuery{Limit: 10})
		require.NoError(t, err)
		return len(left) == 1 && left[0].EventID == calls.Calls[1].EventID
	}, 20*time.Second, 10*time.Millisecond)
	end()
}
