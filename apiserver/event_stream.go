package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

const (
	streamBeat  = 15 * time.Second       // between signs of life
	streamCheck = 500 * time.Millisecond // how often a key is looked at again
	streamWrite = 30 * time.Second       // that a client may take to read
)

const streaming = "Server-sent events (text/event-stream): `id` is the id of the event, `event` its type, `data` its JSON as in the log. " +
	"It begins with what happens from then on, or behind the event in `Last-Event-ID` or `after`: a client that comes back with the last `id` " +
	"it has seen misses nothing and gets nothing twice. Every 15 seconds there is a sign of life, whose `id` counts too. " +
	"The stream ends when the key does, and when the server stops. A tenant can have 10 on each server."

func (s *Server) registerEventStream() {
	access := forTenants(apikey.EventsRead)
	register(s, access, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/events/stream", Tags: []string{"Events"},
		Summary: "Follow the log of events", Description: streaming, Errors: []int{http.StatusTooManyRequests},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.streamEvents)
}

type streamEventsInput struct {
	TenantHeader
	LastEventID   string   `header:"Last-Event-ID" maxLength:"40" doc:"The last id that was seen"`
	After         string   `query:"after" maxLength:"40" doc:"The same, for clients that can not set the header; Last-Event-ID counts more" example:"evt_0000000yqs800r0000000000b4"`
	Type          []string `query:"type" maxItems:"20" enum:"email.accepted,email.scheduled,email.sent,email.deferred,email.bounced,email.failed,email.cancelled,email.expired,email.unknown,email.opened,email.clicked,quota.warning,quota.reached,tenant.suspended,tenant.resumed,webhook.disabled,domain.verified,domain.failing,domain.lost" doc:"Only events of these types, separated by commas"`
	Authorization string   `header:"Authorization" hidden:"true"`
}

func (s *Server) streamEvents(ctx context.Context, in *streamEventsInput) (*huma.StreamResponse, error) {
	after, err := eventCursor("query.after", cmp.Or(in.LastEventID, in.After))
	if err != nil {
		return nil, err
	}
	feed, leave, err := s.feeds.join(ctx, caller(ctx).ID)
	if err != nil {
		return nil, err
	}
	if in.LastEventID == "" && in.After == "" {
		after = feed.position()
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		hc.SetHeader("Content-Type", "text/event-stream")
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("X-Accel-Buffering", "no") // nginx would keep it back
		hc.SetStatus(http.StatusOK)
		_, w := humachi.Unwrap(hc)
		one := &stream{Server: s, in: in, feed: feed, w: w, at: after, beaten: time.Now(), checked: time.Now()}
		one.out.WriteString("retry: 2000\n\n")
		one.run(hc.Context())
	}}, nil
}

// stream is an open stream.
type stream struct {
	*Server
	in      *streamEventsInput
	feed    *feed
	w       http.ResponseWriter
	out     bytes.Buffer
	at      uuid.UUID // every event up to here was given, or is not of the types
	beaten  time.Time // when something was written last
	checked time.Time // when the key was good last
}

// run writes events until the client goes, its key ends, or the server stops.
func (o *stream) run(ctx context.Context) {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		changed, more, err := o.fill(ctx)
		if err == nil {
			err = o.flush()
		}
		if err != nil || !o.goesOn(ctx) {
			return
		}
		if more {
			continue
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
		case <-o.draining:
		}
	}
}

// fill takes the next events: from the feed, or, for a stream that is further behind, from
// the database. more says that there may be others at once.
func (o *stream) fill(ctx context.Context) (changed <-chan struct{}, more bool, err error) {
	events, changed, ok := o.feed.behind(o.at)
	if !ok {
		head := o.feed.position() // before the log is read: what is up to here, is there
		events, err = o.Store.ListEvents(ctx, o.feed.tenantID, o.in.Type, o.at, feedPage)
		if err == nil && len(events) == 0 {
			o.at = head
		}
		more = true
	}
	for _, e := range events {
		if err := o.add(e); err != nil {
			return changed, false, err
		}
	}
	return changed, more, err
}

func (o *stream) add(e store.Event) error {
	o.at = e.ID
	if len(o.in.Type) > 0 && !slices.Contains(o.in.Type, string(e.Type)) {
		return nil
	}
	data, err := json.Marshal(showEvent(e))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(&o.out, "id: %s\nevent: %s\ndata: %s\n\n", id.Event.Format(e.ID), e.Type, data)
	return err
}

// flush writes what there is, and a sign of life when there was nothing for long.
func (o *stream) flush() error {
	now := time.Now()
	if o.out.Len() == 0 {
		if now.Sub(o.beaten) < streamBeat {
			return nil
		}
		_, _ = fmt.Fprintf(&o.out, ": \nid: %s\n\n", id.Event.Format(o.at)) // a buffer takes everything
	}
	o.beaten = now
	control := http.NewResponseController(o.w)
	_ = control.SetWriteDeadline(now.Add(streamWrite)) // where there is no deadline, there is none
	if _, err := o.out.WriteTo(o.w); err != nil {
		return err
	}
	return control.Flush()
}

// goesOn reports whether the client is still there and may still read.
func (o *stream) goesOn(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-o.draining:
		return false
	default:
	}
	if time.Since(o.checked) < streamCheck {
		return true
	}
	o.checked = time.Now()
	_, _, err := o.authorize(ctx, forTenants(apikey.EventsRead), o.in.Authorization, o.in.TenantID)
	kind := fault.KindOf(err)
	return err == nil || (kind != fault.Unauthenticated && kind != fault.Forbidden && kind != fault.NotFound)
}

// Drain ends the streams that are open: without it, a server that stops would wait for them.
func (s *Server) Drain() { s.drain() }
