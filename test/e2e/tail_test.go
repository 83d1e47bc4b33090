package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// tail follows the stream of events of a tenant.
type tail struct {
	t        *testing.T
	url, key string
	stop     context.CancelFunc
	ended    chan struct{}

	mu     sync.Mutex
	events []mailtura.Event
}

func newTail(t *testing.T, s *stack, key string) *tail {
	t.Helper()
	f := &tail{t: t, url: s.URL + "/api/v1/events/stream", key: key}
	f.connect()
	t.Cleanup(func() { f.breakOff() })
	return f
}

// connect begins with what happens from now on, or goes on behind the last event.
func (f *tail) connect() {
	f.t.Helper()
	ctx, stop := context.WithCancel(f.t.Context())
	f.stop, f.ended = stop, make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, http.NoBody)
	require.NoError(f.t, err)
	r.Header.Set("Authorization", "Bearer "+f.key)
	if seen := f.seen(); len(seen) > 0 {
		r.Header.Set("Last-Event-ID", seen[len(seen)-1].Id)
	}
	response, err := http.DefaultClient.Do(r) //nolint:bodyclose // its reader closes it
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusOK, response.StatusCode)
	go func() {
		defer close(f.ended)
		defer response.Body.Close() //nolint:errcheck // it was only read
		f.read(bufio.NewScanner(response.Body))
	}()
}

func (f *tail) read(lines *bufio.Scanner) {
	fields := map[string]string{}
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		if fields[name] = value; name != "" {
			continue
		}
		if data, ok := fields["data"]; ok {
			var e mailtura.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil || fields["id"] != e.Id || fields["event"] != string(e.Type) {
				f.t.Errorf("a bad event: %v %v", fields, err)
			}
			f.mu.Lock()
			f.events = append(f.events, e)
			f.mu.Unlock()
		}
		clear(fields)
	}
}

// breakOff ends the connection.
func (f *tail) breakOff() {
	f.stop()
	<-f.ended
}

func (f *tail) seen() []mailtura.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]mailtura.Event{}, f.events...)
}

// of are those of a type that were seen.
func (f *tail) of(name string) (events []mailtura.Event) {
	for _, e := range f.seen() {
		if string(e.Type) == name {
			events = append(events, e)
		}
	}
	return events
}
