package apiserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// follower reads a stream of events.
type follower struct {
	t      *testing.T
	events chan apiserver.Event // closed when the stream has ended
	leave  context.CancelFunc
	header http.Header
}

// follow opens a stream; headers are pairs of a name and a value.
func (b *bundle) follow(url, key string, headers ...string) (*follower, int) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(b.t, err)
	r.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = response.Body.Close() })
	f := &follower{t: b.t, events: make(chan apiserver.Event, 10_000), leave: cancel, header: response.Header}
	if response.StatusCode == http.StatusOK {
		go f.read(bufio.NewScanner(response.Body))
	}
	return f, response.StatusCode
}

// read takes an event at the empty line that ends it: what is cut off before is none.
func (f *follower) read(lines *bufio.Scanner) {
	defer close(f.events)
	fields := map[string]string{}
	for lines.Scan() {
		if field, value, _ := strings.Cut(lines.Text(), ": "); field != "" {
			fields[field] = value
			continue
		}
		if data := fields["data"]; data != "" {
			var e apiserver.Event
			if json.Unmarshal([]byte(data), &e) != nil || e.ID != fields["id"] || string(e.Type) != fields["event"] {
				f.t.Errorf("a broken event: %s", data)
			}
			f.events <- e
		}
		clear(fields)
	}
}

// next are the next events, of which there must be so many.
func (f *follower) next(count int) (ids []string) {
	f.t.Helper()
	deadline := time.After(30 * time.Second)
	for len(ids) < count {
		select {
		case e, more := <-f.events:
			require.True(f.t, more, "the stream has ended after %d", len(ids))
			ids = append(ids, e.ID)
		case <-deadline:
			require.Fail(f.t, "no more events", "%d of %d", len(ids), count)
		}
	}
	return ids
}

// ended waits until the stream ends.
func (f *follower) ended() {
	f.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case _, more := <-f.events:
			if !more {
				return
			}
		case <-deadline:
			require.Fail(f.t, "the stream goes on")
		}
	}
}

func (b *bundle) listen() (url string) {
	server := httptest.NewServer(b)
	b.t.Cleanup(server.Close)
	b.t.Cleanup(b.Drain) // before: else the server would wait for its streams
	return server.URL + eventsPath + "/stream"
}

func eventIDs(events []apiserver.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestStream_FromNowOnAndFromBefore(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	url := b.listen()
	b.post(key, `{"to":"before@example.com","subject":"Hi","text":"Hi"}`)
	before := eventIDs(b.events(key, "", 1).Items)
	live, status := b.follow(url, key)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/event-stream", live.header.Get("Content-Type"))
	b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"Hi"}`)
	all := eventIDs(b.events(key, "", 3).Items)
	require.Equal(t, all[1:], live.next(2))

	again, _ := b.follow(url, key, "Last-Event-ID", before[0])
	require.Equal(t, all[1:], again.next(2))
	first, _ := b.follow(url+"?after=evt_00000000000000000000000000", key)
	require.Equal(t, all, first.next(3))
	header, _ := b.follow(url+"?after=evt_00000000000000000000000000", key, "Last-Event-ID", all[1])
	require.Equal(t, all[2:], header.next(1))
	scheduled, _ := b.follow(url+"?type=email.scheduled,quota.reached&after=evt_00000000000000000000000000", key)
	foreign, _ := b.follow(url, b.tenant("other", tenant.Settings{}))
	b.post(key, fmt.Sprintf(`{"to":"ada@example.com","subject":"Hi","text":"Hi","scheduledAt":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))
	both := b.events(key, "", 5).Items[3:]
	require.ElementsMatch(t, eventIDs(both), live.next(2))
	require.Equal(t, eventIDs(b.events(key, "?type=email.scheduled", 1).Items), scheduled.next(1))
	require.Empty(t, foreign.events)
}

// Whatever is written by however many at the same time, every stream has every event once and
// in the order of the log, from wherever it began.
func TestStream_WithoutGapsUnderParallelWriters(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	url := b.listen()
	live, _ := b.follow(url, key)
	const writers, each = 8, 60
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"Hi"}`)
			}
		})
	}
	seen := live.next(writers * each) // half of them
	live.leave()
	late, _ := b.follow(url+"?after=evt_00000000000000000000000000", key)
	resumed, _ := b.follow(url, key, "Last-Event-ID", seen[len(seen)-1])
	wait.Wait()
	all := eventIDs(b.events(key, "?limit=1000", 2*writers*each).Items)
	require.Equal(t, all, append(seen, resumed.next(writers*each)...))
	require.Equal(t, all, late.next(2*writers*each))
}

func TestStream_EndsWithItsKey(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	weak := b.newKey(v1+"/api-keys", key, "weak")
	one, _ := b.follow(b.listen(), weak.Key)
	require.Equal(t, http.StatusNoContent, b.ask(http.MethodDelete, v1+"/api-keys/"+weak.ID, key, nil).Status)
	one.ended()
}

func TestStream_EndsWithTheServer(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	one, _ := b.follow(b.listen(), key)
	b.Drain()
	one.ended()
}

func TestStream_NotTooMany(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	url := b.listen()
	var open []*follower
	for range 10 {
		one, status := b.follow(url, key)
		require.Equal(t, http.StatusOK, status)
		open = append(open, one)
	}
	a := b.ask(http.MethodGet, eventsPath+"/stream", key, nil)
	a.problem(http.StatusTooManyRequests, "too_many_streams")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	_, status := b.follow(url, b.tenant("other", tenant.Settings{}))
	require.Equal(t, http.StatusOK, status, "another tenant has its own")
	open[0].leave()
	require.Eventually(t, func() bool {
		_, status := b.follow(url, key)
		return status == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
}

func TestStream_Refusals(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for query, want := range map[string]string{"?after=x": "query.after invalid_cursor", "?type=email.eaten": "query.type[0] invalid_value"} {
		require.Equal(t, []string{want}, b.ask(http.MethodGet, eventsPath+"/stream"+query, key, nil).fields(422, "validation_failed"), query)
	}
}

func TestListEvents_OfAnEmail(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`)
	sent := b.post(key, `{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"Hi"}`)
	for _, e := range b.events(key, "?emailId="+sent.ID, 2).Items {
		require.Equal(t, sent.ID, e.Data.EmailID)
	}
	require.Empty(t, b.events(b.tenant("other", tenant.Settings{}), "?emailId="+sent.ID, 0).Items)
	require.Equal(t, []string{"query.emailId invalid_value"}, b.ask(http.MethodGet, eventsPath+"?emailId=x", key, nil).fields(422, "validation_failed"))
}

// Addresses are the same when their domains are but for case, as when mail is sent to them.
func TestListEvents_OfARecipient(t *testing.T) {
	t.Parallel()
	limit := 3
	b, key := newAcme(t, tenant.Settings{DailyLimit: &limit})
	stream, _ := b.follow(b.listen()+"?recipient=ada@EXAMPLE.com", key)
	b.post(key, `{"to":["bob@example.com","ada@Example.com"],"subject":"Hi","text":"Hi"}`)
	b.post(key, `{"to":"ada@example.com","subject":"Hi","text":"Hi"}`)
	found := b.events(key, "?recipient=ada@EXAMPLE.COM", 2)
	require.Equal(t, eventIDs(found.Items), stream.next(2))
	for _, e := range found.Items {
		require.Equal(t, "ada@example.com", e.Data.Recipient)
	}
	rest := b.events(key, "?recipient=ada@example.com&after="+found.Items[0].ID, 1)
	require.Equal(t, found.Items[1:], rest.Items)
	require.Empty(t, b.events(key, "?recipient=Ada@example.com", 0).Items, "what is before the @ is its own server's")
	require.Empty(t, b.events(b.tenant("other", tenant.Settings{}), "?recipient=ada@example.com", 0).Items)
	for _, path := range []string{eventsPath, eventsPath + "/stream", v1 + "/emails"} {
		require.Equal(t, []string{"query.recipient invalid_address"}, b.ask(http.MethodGet, path+"?recipient=ada", key, nil).fields(422, "validation_failed"))
	}
}
