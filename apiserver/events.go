package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
)

// Event is a fact about a recipient or about a tenant.
type Event struct {
	ID        string    `json:"id" doc:"Ascends in the order of the log" example:"evt_0000000yqs800r0000000000b4"`
	Type      EventType `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      EventData `json:"data"`
}

// EventData is what an event tells: of a recipient in email.*, of the daily limit in quota.*, of a suspension in tenant.*,
// of a webhook in webhook.*, of a sender domain in domain.*.
type EventData struct {
	EmailID       string     `json:"emailId,omitempty" example:"msg_01h455vb4pex5vsknk084sn02q"`
	RecipientID   string     `json:"recipientId,omitempty" example:"rcp_01h455vb4pex5vsknk084sn02q"`
	Recipient     string     `json:"recipient,omitempty" example:"ada@example.com"`
	Kind          string     `json:"kind,omitempty" enum:"to,cc,bcc"`
	Subject       string     `json:"subject,omitempty" doc:"As it was asked for; absent when the template has it"`
	TemplateID    string     `json:"templateId,omitempty" example:"tpl_01h455vb4pex5vsknk084sn02q"`
	Tags          []string   `json:"tags,omitempty"`
	Attempt       int        `json:"attempt,omitempty" doc:"Number of the attempt that it tells of, from 1"`
	Code          int        `json:"code,omitempty" doc:"SMTP reply code of the attempt; absent when there was no answer" example:"250"`
	EnhancedCode  string     `json:"enhancedCode,omitempty" example:"5.1.1"`
	Reply         string     `json:"reply,omitempty" example:"OK: queued"`
	ScheduledAt   *time.Time `json:"scheduledAt,omitempty" doc:"Of email.scheduled"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty" doc:"Of email.deferred"`
	Automated     *bool      `json:"automated,omitempty" doc:"Of email.opened and email.clicked: it is taken for a machine's, see cause"`
	Cause         string     `json:"cause,omitempty" enum:"prefetch,scanner,timing,burst" doc:"Why it is taken for a machine's"`
	Unique        *bool      `json:"unique,omitempty" doc:"Of email.opened and email.clicked: the recipient's first of its kind that is not automated"`
	URL           string     `json:"url,omitempty" doc:"Of email.clicked: where the link leads"`
	LinkIndex     *int       `json:"linkIndex,omitempty" doc:"Of email.clicked: which of the email's tracked links it is, from 0"`
	UserAgent     string     `json:"userAgent,omitempty" doc:"Of email.opened and email.clicked: what the program called itself, at most 200 bytes"`
	Day           string     `json:"day,omitempty" doc:"Of quota.*: the day in the tenant's time zone" example:"2026-11-24"`
	Percent       int        `json:"percent,omitempty" doc:"Of quota.*: the share of the limit that was come to" example:"80"`
	Limit         *int       `json:"limit,omitempty" doc:"Of quota.*: recipients a day"`
	Used          *int       `json:"used,omitempty" doc:"Of quota.*: recipients reserved on the day"`
	ResetsAt      *time.Time `json:"resetsAt,omitempty" doc:"Of quota.*: when the next day begins"`
	WebhookID     string     `json:"webhookId,omitempty" doc:"Of webhook.*" example:"whk_01h455vb4pex5vsknk084sn02q"`
	Reason        string     `json:"reason,omitempty" doc:"Of webhook.disabled: gone (an answer 410) or failing (every call for 5 days). Of tenant.suspended: what whoever suspended it has said" example:"gone"`
	By            string     `json:"by,omitempty" enum:"operator,guardrail" doc:"Of tenant.suspended: who suspended the tenant"`
	Drain         *bool      `json:"drain,omitempty" doc:"Of tenant.suspended: what was queued goes out first"`
	Domain        string     `json:"domain,omitempty" doc:"Of domain.*" example:"mail.acme.com"`
	Missing       []string   `json:"missing,omitempty" doc:"Of domain.failing and domain.lost: names of required DNS records that were not found" example:"[\"mtxw3k9a2c-rsa._domainkey.mail.acme.com\"]"`
	LostAt        *time.Time `json:"lostAt,omitempty" doc:"Of domain.failing: from then on no mail is sent from the domain, if its records are not found before"`
	LastEventID   string     `json:"lastEventId,omitempty" doc:"Of webhook.disabled: the webhook was not called for events after this one" example:"evt_0000000yqs800r0000000000b4"`
}

// EventList is a page of the log, oldest first.
type EventList struct {
	Items      []Event `json:"items"`
	NextCursor *string `json:"nextCursor" doc:"Pass it as after to go on, also later: the log grows behind it. null while the log is empty"`
}

func (s *Server) registerEvents() {
	register(s, forTenants(apikey.EventsRead), huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/events", Tags: []string{"Events"}, Summary: "Read the log of events",
		Description: "What happened to a tenant's emails and limits, oldest first. Nothing is ever added before an event that was given, " +
			"so a reader that goes on with `after` misses nothing and gets nothing twice. An empty page means that there is nothing new yet.",
	}, s.listEvents)
}

func (s *Server) listEvents(ctx context.Context, in *struct {
	TenantHeader
	EventTypes
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at the most"`
	EmailID   string `query:"emailId" maxLength:"40" doc:"Only events of this email" example:"msg_01h455vb4pex5vsknk084sn02q"`
	Recipient string `query:"recipient" maxLength:"400" doc:"Only events of emails to this address" example:"ada@example.com"`
	After     string `query:"after" maxLength:"40" doc:"Id of an event, or nextCursor of the answer before" example:"evt_0000000yqs800r0000000000b4"`
},
) (*body[EventList], error) {
	after, err := eventCursor("query.after", in.After)
	if err != nil {
		return nil, err
	}
	recipient, err := recipientFilter(in.Recipient)
	if err != nil {
		return nil, err
	}
	ask := store.EventQuery{Types: in.names(), Recipient: recipient, After: after, Limit: in.Limit}
	if in.EmailID != "" {
		emailID, err := id.Email.Parse(in.EmailID)
		if err != nil {
			return nil, fault.InvalidFields(fault.Field{Location: "query.emailId", Code: "invalid_value", Message: "not the id of an email"})
		}
		ask.EmailID = &emailID
	}
	events, err := s.Store.FindEvents(ctx, caller(ctx).ID, ask)
	if err != nil {
		return nil, err
	}
	out := &body[EventList]{Body: EventList{Items: make([]Event, len(events))}}
	for i, e := range events {
		out.Body.Items[i] = showEvent(e)
		after = e.ID
	}
	if after != uuid.Nil {
		next := id.Event.Format(after)
		out.Body.NextCursor = &next
	}
	return out, nil
}

// recipientFilter is an address as recipients have it: its domain in lower case, its local part
// as it was written. Empty: any.
func recipientFilter(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	a, err := address.Parse(text)
	if f, ok := fault.As(err); ok {
		return "", fault.InvalidFields(fault.Field{Location: "query.recipient", Code: f.Code, Message: f.Detail})
	}
	return a.Addr, err
}

// eventCursor reads the id of the event behind which a reader goes on; empty is the beginning.
func eventCursor(location, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	after, err := id.Event.Parse(text)
	if err != nil {
		return after, fault.InvalidFields(fault.Field{Location: location, Code: "invalid_cursor", Message: "not the id of an event"})
	}
	return after, nil
}

// EventPayload is an event as webhooks are told of it: as the API shows it.
func EventPayload(e store.Event) ([]byte, error) { return json.Marshal(showEvent(e)) }

func showEvent(e store.Event) Event {
	shown := Event{ID: id.Event.Format(e.ID), Type: EventType(e.Type), Timestamp: e.At.UTC()}
	if q := e.Quota; q != nil {
		resetsAt := q.ResetsAt.UTC()
		shown.Data = EventData{Day: q.Day, Percent: q.Percent, Limit: &q.Limit, Used: &q.Used, ResetsAt: &resetsAt}
	}
	if w := e.Webhook; w != nil {
		shown.Data = EventData{WebhookID: id.Webhook.Format(w.WebhookID), Reason: w.Reason, LastEventID: id.Event.Format(w.Cursor)}
	}
	if d := e.Domain; d != nil {
		shown.Data = EventData{Domain: d.Domain, Missing: d.Missing, LostAt: utc(d.LostAt)}
	}
	if t := e.Tenant; t != nil && e.Type == event.TenantSuspended {
		shown.Data = EventData{By: string(t.By), Reason: t.Reason, Drain: &t.Drain}
	}
	if m := e.Email; m != nil {
		shown.Data = EventData{
			EmailID: id.Email.Format(m.EmailID), RecipientID: id.Recipient.Format(m.RecipientID), Recipient: m.Recipient, Kind: string(m.Kind),
			Subject: m.Subject, Tags: m.Tags, Attempt: m.Attempt, Code: m.Code, EnhancedCode: m.Enhanced, Reply: m.Reply,
			ScheduledAt: utc(m.ScheduledAt), NextAttemptAt: utc(m.NextAttemptAt),
		}
		if m.TemplateID != nil {
			shown.Data.TemplateID = id.Template.Format(*m.TemplateID)
		}
		if h := m.Hit; h != nil {
			d := &shown.Data
			d.Automated, d.Cause, d.Unique = &h.Automated, string(h.Cause), &h.Unique
			d.URL, d.LinkIndex, d.UserAgent = h.URL, h.Link, h.UserAgent
		}
	}
	return shown
}
