package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// endpoint is somebody's server that is called by webhooks.
type endpoint struct {
	*httptest.Server
	mu      sync.Mutex
	secret  string
	started int       // calls
	calls   []webhook // that were answered
}

// webhook is a call that had a good signature.
type webhook struct {
	ID     string
	Status int // that was answered
	Event  mailtura.Event
}

// newEndpoint answers its calls, which are counted from 1, with a status. Calls that are not
// signed with its secret fail the test.
func newEndpoint(t *testing.T, answer func(number int) int) *endpoint {
	t.Helper()
	e := prepareEndpoint(t, answer)
	e.Start()
	return e
}

// prepareEndpoint is newEndpoint for one that is yet to start.
func prepareEndpoint(t *testing.T, answer func(number int) int) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.started++
		number, secret := e.started, e.secret
		e.mu.Unlock()
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = receiver.Verify(body, r.Header)
		}
		var event mailtura.Event
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil || event.Id != r.Header.Get("Webhook-Id") {
			t.Errorf("a bad call: %v", err)
		}
		status := answer(number)
		w.WriteHeader(status)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls = append(e.calls, webhook{r.Header.Get("Webhook-Id"), status, event})
	}))
	t.Cleanup(e.Close)
	return e
}

// register makes the endpoint's webhook.
func (e *endpoint) register(t *testing.T, c *mailtura.ClientWithResponses, events ...string) *mailtura.NewWebhook {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	made, err := c.CreateWebhookWithResponse(t.Context(), nil, mailtura.CreateWebhook{Url: e.URL + "/hook", Events: events})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	e.secret = made.JSON201.Secret
	return made.JSON201
}

func (e *endpoint) answered() []webhook {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]webhook{}, e.calls...)
}

// await gives the calls once there are so many.
func (e *endpoint) await(t *testing.T, count int) (calls []webhook) {
	t.Helper()
	require.Eventually(t, func() bool { calls = e.answered(); return len(calls) >= count }, 60*time.Second, 20*time.Millisecond)
	return calls
}

func good(int) int { return http.StatusNoContent }

// distinct are the events that were answered with 2xx.
func (e *endpoint) distinct() map[string]bool {
	seen := map[string]bool{}
	for _, call := range e.answered() {
		if call.Status < 300 {
			seen[call.ID] = true
		}
	}
	return seen
}

// A call that fails is made again after 5 seconds, under the same id; the log has both.
func TestWebhooks_OfAnEmail(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	e := newEndpoint(t, func(number int) int { return map[bool]int{true: 500, false: 200}[number == 1] })
	hook := e.register(t, c, "email.sent")
	ada := address(t, "ada")
	sent := send(t, c, mailtura.SendEmail{To: to(ada), Subject: ptr("Hi"), Text: ptr("Hi")})
	calls := e.await(t, 2)
	require.Equal(t, calls[0].Event, calls[1].Event)
	require.Equal(t, "email.sent", string(calls[0].Event.Type))
	require.Equal(t, []string{sent.Id, ada, "Hi"}, []string{*calls[0].Event.Data.EmailId, *calls[0].Event.Data.Recipient, *calls[0].Event.Data.Subject})
	require.Eventually(t, func() bool {
		log, err := c.ListWebhookDeliveriesWithResponse(t.Context(), hook.Id, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, log.StatusCode(), string(log.Body))
		items := log.JSON200.Items
		return len(items) == 2 && items[0].Attempt == 2 && *items[0].StatusCode == 200 && items[1].NextAt != nil && *items[1].StatusCode == 500
	}, 60*time.Second, 50*time.Millisecond)

	replayed, err := c.ReplayWebhookWithResponse(t.Context(), hook.Id, nil, mailtura.ReplayWebhook{EventIds: &[]string{calls[0].ID}})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, replayed.StatusCode(), string(replayed.Body))
	require.Equal(t, calls[0].ID, e.await(t, 3)[2].ID)
}

// An endpoint that never answers, and one that answers 500, delay neither another one of their
// tenant nor another tenant's.
func TestWebhooks_ASlowOneDelaysNoOther(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	_, d := shared.newTenant(t, mailtura.Settings{})
	release := make(chan struct{})
	hanging := newEndpoint(t, func(int) int { <-release; return 200 })
	t.Cleanup(func() { close(release) }) // before it is closed
	broken := newEndpoint(t, func(int) int { return 500 })
	quick, others := newEndpoint(t, good), newEndpoint(t, good)
	hanging.register(t, c, "*")
	broken.register(t, c, "*")
	quick.register(t, c, "email.accepted")
	others.register(t, d, "email.accepted")
	for range 40 { // more than the calls that may be under way
		send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	}
	quick.await(t, 40)
	began := time.Now()
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	send(t, d, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	quick.await(t, 41)
	others.await(t, 1)
	require.Less(t, time.Since(began), 10*time.Second, "less than the time limit of the call that hangs")
	require.Empty(t, hanging.answered())
	require.Less(t, len(broken.answered()), 40, "and it is not called for each event while it is down")
}

// The worker is killed again and again while it calls. No event is lost; what was cut off
// comes again, under the same id.
func TestWebhooks_WorkerIsKilled(t *testing.T) {
	t.Parallel()
	s := beside(t)
	api, err := s.Launch("apiserver")
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	worker, err := s.Launch("worker")
	require.NoError(t, err)
	t.Cleanup(func() { worker.Stop() })
	_, c := s.newTenant(t, mailtura.Settings{})
	const emails, rounds = 60, 3
	progress := make(chan struct{}, 10_000)
	e := newEndpoint(t, func(int) int {
		progress <- struct{}{}
		time.Sleep(20 * time.Millisecond) // so that calls are under way when it is killed
		return 200
	})
	e.register(t, c, "email.accepted")
	want := 0
	for round := range rounds {
		for i := range emails {
			want++
			send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi")})
		}
		for range 10 + 10*round {
			<-progress
		}
		worker.Kill()
		worker, err = s.Launch("worker")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(e.distinct()) == want }, 90*time.Second, 50*time.Millisecond)
	require.Less(t, len(e.answered())-want, rounds*200, "no more comes again than was under way together")
}
