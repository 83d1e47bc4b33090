package activities_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

// fakeEndpoint answers calls as its function says.
type fakeEndpoint struct {
	mu     sync.Mutex
	calls  []webhookhttp.Call
	answer func(ctx context.Context, number int) webhookhttp.Outcome
}

func (f *fakeEndpoint) Post(ctx context.Context, c webhookhttp.Call) webhookhttp.Outcome {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	number := len(f.calls)
	f.mu.Unlock()
	o := f.answer(ctx, number)
	o.Started = time.Now()
	return o
}

func (f *fakeEndpoint) called() []webhookhttp.Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func good(context.Context, int) webhookhttp.Outcome { return webhookhttp.Outcome{Status: 200} }

func failing(context.Context, int) webhookhttp.Outcome {
	return webhookhttp.Outcome{Status: 500, Error: "status", Snippet: "oh"}
}

// webhookBundle is a DeliverEvents with everything real but the endpoint.
type webhookBundle struct {
	activities.Webhooks
	t        *testing.T
	url      string // of the database
	endpoint *fakeEndpoint
	hook     store.Webhook
	secret   webhook.Secret
}

// newWebhookBundle has one tenant with one webhook for all events.
func newWebhookBundle(t *testing.T, answer func(context.Context, int) webhookhttp.Outcome) *webhookBundle {
	t.Helper()
	b := &webhookBundle{t: t, url: testkit.DatabaseURL(t), endpoint: &fakeEndpoint{answer: answer}}
	var err error
	b.Store, err = store.Open(t.Context(), store.Config{URL: b.url, MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(b.Store.Close)
	b.Keys, err = keyring.Parse(keyring.NewKey())
	require.NoError(t, err)
	b.Caller, b.Log = b.endpoint, slog.New(slog.DiscardHandler)
	b.Payload = func(e store.Event) ([]byte, error) { return json.Marshal(map[string]string{"type": string(e.Type)}) }
	_, err = b.Store.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: acme, Domain: "acme.com"})
	require.NoError(t, err)
	require.NoError(t, b.Store.ActivateTenant(t.Context(), acme))
	b.secret = webhook.NewSecret()
	hook := store.Webhook{TenantID: acme, ID: id.New(), URL: "https://acme.com/hook", Events: []string{"*"}, Enabled: true}
	hook.Secret = b.seal(hook.ID, b.secret)
	b.hook, err = b.Store.CreateWebhook(t.Context(), hook)
	require.NoError(t, err)
	return b
}

func (b *webhookBundle) seal(webhookID uuid.UUID, secret webhook.Secret) []byte {
	return b.Keys.Seal(webhook.Place(acme, id.Webhook.Format(webhookID)), secret)
}

// happen makes so many events, and gives their ids in order once they are shown.
func (b *webhookBundle) happen(count int) (ids []string) {
	b.t.Helper()
	before := b.shown()
	for range count {
		receipts, err := b.Store.Accept(b.t.Context(), time.Now(), []intake.Request{{Emails: []email.Email{newEmail("ada@example.com")}}})
		require.NoError(b.t, err)
		require.NoError(b.t, receipts[0][0].Err)
	}
	return b.awaitShown(len(before) + count)[len(before):]
}

// awaitShown gives the ids of so many events. An event is shown once no older transaction of
// the server, such as another test's, can be in its way.
func (b *webhookBundle) awaitShown(count int, types ...string) (ids []string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { ids = b.shown(types...); return len(ids) == count }, time.Minute, 5*time.Millisecond)
	return ids
}

func (b *webhookBundle) shown(types ...string) (ids []string) {
	events, err := b.Store.ListEvents(b.t.Context(), acme, types, uuid.Nil, 1000)
	require.NoError(b.t, err)
	for _, e := range events {
		ids = append(ids, id.Event.Format(e.ID))
	}
	return ids
}

// run runs DeliverEvents as a worker does.
func (b *webhookBundle) run() (activities.DeliverEventsResult, error) {
	return b.runWithin(b.t.Context())
}

func (b *webhookBundle) runWithin(ctx context.Context) (result activities.DeliverEventsResult, err error) {
	env := newActivityEnvironment(b.t, &b.Webhooks)
	setContext(env, ctx)
	value, err := env.ExecuteActivity(b.DeliverEvents, activities.DeliverEventsInput{TenantID: acme, WebhookID: b.hook.ID})
	if err == nil {
		require.NoError(b.t, value.Get(&result))
	}
	return result, err
}

func (b *webhookBundle) must() activities.DeliverEventsResult {
	b.t.Helper()
	result, err := b.run()
	require.NoError(b.t, err)
	return result
}

func (b *webhookBundle) exec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(context.WithoutCancel(b.t.Context())) //nolint:errcheck // a test's connection
	_, err = conn.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

func (b *webhookBundle) log() []store.WebhookDelivery {
	b.t.Helper()
	items, _, err := b.Store.ListWebhookDeliveries(b.t.Context(), acme, b.hook.ID, store.DeliveryQuery{Limit: 200})
	require.NoError(b.t, err)
	return items
}

func (b *webhookBundle) now() store.Webhook {
	b.t.Helper()
	w, err := b.Store.Webhook(b.t.Context(), acme, b.hook.ID)
	require.NoError(b.t, err)
	return w
}

// distinct are the events that the endpoint was called for.
func (b *webhookBundle) distinct() map[string]bool {
	seen := map[string]bool{}
	for _, call := range b.endpoint.called() {
		seen[call.ID] = true
	}
	return seen
}

func callIDs(calls []webhookhttp.Call) (ids []string) {
	for _, c := range calls {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestDeliverEvents_EachOnce(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, good)
	ids := b.happen(40)
	require.Equal(t, activities.DeliverEventsResult{Delivered: 40}, b.must())
	calls := b.endpoint.called()
	require.ElementsMatch(t, ids, callIDs(calls))
	require.Equal(t, webhookhttp.Call{
		URL: "https://acme.com/hook", ID: calls[0].ID, Payload: []byte(`{"type":"email.accepted"}`), Secrets: []webhook.Secret{b.secret},
	}, calls[0])
	require.Len(t, b.log(), 40)
	require.Zero(t, b.must().Delivered)
	require.Len(t, b.endpoint.called(), 40)
}

// While one call hangs, those behind it are made: up to 16 are under way at a time.
func TestDeliverEvents_SeveralAtATime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newWebhookBundle(t, func(_ context.Context, number int) webhookhttp.Outcome {
		if number == 1 {
			<-release
		}
		if number == 40 {
			close(release)
		}
		return webhookhttp.Outcome{Status: 200}
	})
	b.happen(40)
	require.Equal(t, 40, b.must().Delivered)
}

// An event whose call fails is called again by the schedule, and holds up none behind it.
func TestDeliverEvents_AFailedCallIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, func(ctx context.Context, number int) webhookhttp.Outcome {
		if number <= 2 {
			return failing(ctx, number)
		}
		return good(ctx, number)
	})
	ids := b.happen(1)
	began := time.Now()
	result := b.must()
	require.Equal(t, []int{0, 1, 1}, []int{result.Delivered, result.Failed, result.Waiting})
	require.WithinRange(t, result.NextAt, began.Add(5*time.Second), time.Now().Add(5500*time.Millisecond))
	first := b.log()[0]
	require.True(t, result.NextAt.Equal(*first.NextAt))
	require.Equal(t, []any{1, 500, "oh", "status"}, []any{first.Attempt, first.Status, first.Response, first.Error})
	require.NotNil(t, b.now().FailingSince)

	b.exec(`UPDATE webhook_retries SET next_at = now()`)
	began = time.Now()
	result = b.must()
	require.WithinRange(t, result.NextAt, began.Add(5*time.Minute), time.Now().Add(330*time.Second))
	b.happen(1)
	require.Equal(t, 1, b.must().Delivered, "what comes after it")
	require.Nil(t, b.now().FailingSince)
	b.exec(`UPDATE webhook_retries SET next_at = now()`)
	require.Equal(t, activities.DeliverEventsResult{Delivered: 1}, b.must())
	require.Equal(t, 3, b.log()[0].Attempt)
	require.Equal(t, []string{ids[0], ids[0]}, callIDs(b.endpoint.called()[:2]), "under the same id")
}

// The ninth call is the last. Its event is in the log, and can be replayed.
func TestDeliverEvents_GivesUp(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, failing)
	b.happen(1)
	b.must()
	b.exec(`UPDATE webhook_retries SET next_at = now(), attempts = 8`)
	require.Equal(t, activities.DeliverEventsResult{Failed: 1}, b.must())
	last := b.log()[0]
	require.Equal(t, 9, last.Attempt)
	require.Nil(t, last.NextAt)
	done, err := b.Store.ReplayWebhook(t.Context(), acme, b.hook.ID, store.Replay{IDs: []uuid.UUID{last.EventID}})
	require.NoError(t, err)
	require.Equal(t, 1, done.Events)
	b.must()
	require.Equal(t, 1, b.log()[0].Attempt, "it begins anew")
}

// An endpoint that is down is not called for each event that there is: after five failures it is
// given a rest, and then one call finds whether it is up again.
func TestDeliverEvents_AFailingEndpointRests(t *testing.T) {
	t.Parallel()
	up := make(chan struct{})
	b := newWebhookBundle(t, func(ctx context.Context, number int) webhookhttp.Outcome {
		select {
		case <-up:
			return good(ctx, number)
		default:
			return failing(ctx, number)
		}
	})
	b.happen(100)
	result := b.must()
	require.GreaterOrEqual(t, result.Failed, 5)
	require.LessOrEqual(t, result.Failed, 5+16, "those that were under way")
	require.Greater(t, time.Until(result.NextAt), time.Duration(0))
	require.Equal(t, result.NextAt.Truncate(time.Microsecond), b.now().QuietUntil.UTC())
	before := len(b.endpoint.called())
	require.Equal(t, 1, b.must().Failed)
	require.Len(t, b.endpoint.called(), before+1)
	close(up)
	b.must()
	require.Len(t, b.distinct(), 100, "then it is called for all of them")
}

func TestDeliverEvents_RetryAfter(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, func(context.Context, int) webhookhttp.Outcome {
		return webhookhttp.Outcome{Status: 429, Error: "status", RetryAfter: 10 * time.Minute}
	})
	b.happen(1)
	began := time.Now().Truncate(time.Microsecond)
	result := b.must()
	ended := time.Now()
	require.WithinRange(t, result.NextAt, began.Add(10*time.Minute), ended.Add(10*time.Minute))
	require.WithinRange(t, *b.log()[0].NextAt, began.Add(10*time.Minute), ended.Add(10*time.Minute))
	due, err := b.Store.WakeWebhooks(t.Context(), time.Now().Add(9*time.Minute), time.Now(), 10)
	require.NoError(t, err)
	require.Empty(t, due, "and nobody wakes it before")
}

func TestDeliverEvents_Gone(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, func(context.Context, int) webhookhttp.Outcome {
		return webhookhttp.Outcome{Status: 410, Error: "status"}
	})
	b.happen(1)
	require.True(t, b.must().Ended)
	require.Equal(t, store.DisabledGone, b.now().DisabledReason)
	b.awaitShown(1, string(event.WebhookDisabled))
	require.Nil(t, b.log()[0].NextAt)
	require.Equal(t, activities.DeliverEventsResult{Ended: true}, b.must())
	require.Len(t, b.endpoint.called(), 1)
}

// After five days in which no call was good, and not before, it is disabled.
func TestDeliverEvents_FailingForDays(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, failing)
	b.happen(1)
	b.must()
	for _, hours := range []int{5*24 - 1, 5*24 + 1} {
		b.exec(`UPDATE webhooks SET failing_since = now() - make_interval(hours => $1)`, hours)
		b.exec(`UPDATE webhook_retries SET next_at = now(), attempts = 2`)
		require.Equal(t, hours > 5*24, b.must().Ended)
	}
	require.Equal(t, store.DisabledFailing, b.now().DisabledReason)
}

func TestDeliverEvents_DeletedOrUnknown(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, good)
	require.NoError(t, b.Store.DeleteWebhook(t.Context(), acme, b.hook.ID))
	require.Equal(t, activities.DeliverEventsResult{Ended: true}, b.must())
}

func TestDeliverEvents_BothSecretsSign(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, good)
	newer := webhook.NewSecret()
	_, err := b.Store.RotateWebhookSecret(t.Context(), acme, store.SecretRotation{
		WebhookID: b.hook.ID, Sealed: b.seal(b.hook.ID, newer), OldEnds: time.Now().Add(time.Hour),
	})
	require.NoError(t, err)
	b.happen(1)
	b.must()
	require.Equal(t, []webhook.Secret{newer, b.secret}, b.endpoint.called()[0].Secrets)
}

// What was cut off before it was written is called again; what was written is not.
func TestDeliverEvents_CutOff(t *testing.T) {
	t.Parallel()
	ctx, crash := context.WithCancel(t.Context())
	again := make(chan struct{})
	var b *webhookBundle
	var ids []string
	b = newWebhookBundle(t, func(ctx context.Context, number int) webhookhttp.Outcome {
		if slices.Contains(ids[:20], b.endpoint.called()[number-1].ID) {
			return webhookhttp.Outcome{Status: 200}
		}
		select {
		case <-again:
			return webhookhttp.Outcome{Status: 200}
		case <-ctx.Done():
			return webhookhttp.Outcome{Error: "interrupted"}
		}
	})
	ids = b.happen(60)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = b.runWithin(ctx) // what becomes of the run is of no interest
	}()
	require.Eventually(t, func() bool { return len(b.log()) == 20 }, time.Minute, 5*time.Millisecond)
	crash()
	<-ended
	close(again)
	before := len(b.endpoint.called())
	b.must()
	require.Len(t, b.distinct(), 60, "none is lost")
	require.Len(t, b.endpoint.called(), before+40, "and only what was cut off comes again")
}

func TestDeliverEvents_WithoutAMasterKey(t *testing.T) {
	t.Parallel()
	b := newWebhookBundle(t, good)
	b.happen(1)
	b.Keys = nil
	_, err := b.run()
	require.ErrorContains(t, err, "master_key_missing")
	require.Empty(t, b.endpoint.called())
}
