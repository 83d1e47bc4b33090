package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

const (
	callers  = 3                      // of each tenant
	pause    = 150 * time.Millisecond // between two emails of a caller
	patience = 5 * time.Second        // of a caller with one request
	giveUp   = 3 * time.Minute        // of a caller with one email
	backlog  = 300                    // recipients on their way, from which on callers wait: a slow machine has to get through
)

// load is the mail of one tenant and the callers that send it. They do as the guide says:
// each email has an idempotency key, and a request that was not answered with 202 is made
// again with the same key until it is.
type load struct {
	*system
	name   string
	client *mailtura.ClientWithResponses
	done   chan struct{}
	group  sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]answer // by idempotency key
	odd      []string          // answers that no caller should get
}

// answer is a 202.
type answer struct {
	mailtura.Accepted
	at    time.Time
	tries int
}

// newLoad makes a tenant that treats unknown outcomes in this way, and a client for it.
func (s *system) newLoad(t *testing.T, onUnknown string) *load {
	t.Helper()
	operator := s.newClient(t, s.Key, onUnknown)
	created, err := operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{
		Name: onUnknown, Domain: "acme.com", Settings: &mailtura.Settings{
			FromEmail: ptr("noreply@acme.com"), DailyLimit: ptr(int64(1_000_000)),
			OnUnknownOutcome: ptr(mailtura.SettingsOnUnknownOutcome(onUnknown)),
		},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, created.StatusCode(), string(created.Body))
	key, err := operator.CreateApiKeyWithResponse(t.Context(), nil, mailtura.CreateAPIKey{Name: "chaos"})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
	return &load{
		system: s, name: onUnknown, client: s.newClient(t, key.JSON201.Key, ""),
		done: make(chan struct{}), accepted: map[string]answer{},
	}
}

func (s *system) newClient(t *testing.T, key, tenantID string) *mailtura.ClientWithResponses {
	t.Helper()
	c, err := mailtura.NewClientWithResponses(s.URL, mailtura.WithHTTPClient(&http.Client{Timeout: patience}),
		mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+key)
			if tenantID != "" && r.URL.Path != "/api/v1/tenants" {
				r.Header.Set("X-Tenant-ID", tenantID)
			}
			return nil
		}))
	require.NoError(t, err)
	return c
}

func (l *load) start(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for caller := range callers {
		l.group.Go(func() { l.call(ctx, caller) })
	}
}

// call is one caller. Every fourth email has several recipients.
func (l *load) call(ctx context.Context, caller int) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-l.done:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.accepts.Load()-int64(l.sink.Count()) > backlog {
			continue
		}
		key := fmt.Sprintf("%s-%d-%d", l.name, caller, n)
		got, tries, odd := l.send(ctx, key, newEmail(key, n%4 == 0))
		l.mu.Lock()
		if odd == "" {
			l.accepted[key] = answer{*got.JSON202, time.Now(), tries}
			l.accepts.Add(int64(len(got.JSON202.Recipients)))
		} else {
			l.odd = append(l.odd, key+": "+odd)
		}
		l.mu.Unlock()
		n++
	}
}

// stop ends the load; what was begun is brought to its 202.
func (l *load) stop(t *testing.T) {
	t.Helper()
	close(l.done)
	l.group.Wait()
	require.Empty(t, l.odd)
}

// send sends an email until it has its 202, or tells what is odd.
func (l *load) send(ctx context.Context, key string, e mailtura.SendEmail) (got *mailtura.SendEmailResponse, tries int, odd string) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	for {
		got, wait, odd := l.ask(ctx, key, e)
		tries++
		if got != nil || odd != "" {
			return got, tries, odd
		}
		select {
		case <-ctx.Done():
			return nil, tries, "no 202 in time"
		case <-time.After(wait):
		}
	}
}

func newEmail(key string, several bool) mailtura.SendEmail {
	e := mailtura.SendEmail{Subject: &key, Text: ptr("Hello"), Metadata: &map[string]any{"key": key}}
	_ = e.To.FromSendEmailTo0("to@" + key + ".example.com") // a string can always be encoded
	if several {
		e.Cc, e.Bcc = &[]string{"cc@" + key + ".example.com"}, &[]string{"bcc@" + key + ".example.com"}
	}
	return e
}

// ask makes the request once. Without a 202 it gives how long to wait before the next time,
// or what is odd about the answer: while a part of the system is away a caller sees broken
// connections, 503, and 409 while its earlier request may still be under way.
func (l *load) ask(ctx context.Context, key string, e mailtura.SendEmail) (got *mailtura.SendEmailResponse, wait time.Duration, odd string) {
	response, err := l.client.SendEmailWithResponse(ctx, &mailtura.SendEmailParams{IdempotencyKey: &key}, e)
	if err != nil {
		return nil, 100 * time.Millisecond, ""
	}
	switch response.StatusCode() {
	case http.StatusAccepted:
		return response, 0, ""
	case http.StatusServiceUnavailable, http.StatusConflict:
		seconds, err := strconv.Atoi(response.HTTPResponse.Header.Get("Retry-After"))
		if err != nil || seconds < 1 {
			return nil, 0, "no Retry-After: " + string(response.Body)
		}
		return nil, time.Duration(seconds) * time.Second, ""
	default:
		return nil, 0, response.Status() + ": " + string(response.Body)
	}
}

// askAgain makes all requests again that were not answered at once, as a caller might that
// has forgotten the answer: it is the same.
func (l *load) askAgain(t *testing.T) {
	t.Helper()
	for key, before := range l.accepted {
		if before.tries == 1 {
			continue
		}
		got, _, odd := l.send(t.Context(), key, newEmail(key, len(before.Recipients) > 1))
		require.Empty(t, odd)
		require.Equal(t, "true", got.HTTPResponse.Header.Get("Idempotency-Replayed"))
		require.Equal(t, before.Id, got.JSON202.Id)
	}
}
