package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// Timeline is the story of an email, oldest first.
type Timeline struct {
	EmailID       string          `json:"emailId" example:"msg_01h455vb4pex5vsknk084sn02q"`
	Status        string          `json:"status" enum:"scheduled,held,queued,sending,deferred,sent,bounced,failed,cancelled,expired,unknown"`
	NextAttemptAt *time.Time      `json:"nextAttemptAt" doc:"When the next attempt is due; null when none is"`
	Workflow      *Workflow       `json:"workflow" doc:"The Temporal workflow that sends it; null before one does"`
	Entries       []TimelineEntry `json:"entries"`
}

// TimelineEntry is one thing that happened, or that is waited for.
type TimelineEntry struct {
	At        time.Time  `json:"at"`
	Type      string     `json:"type" enum:"accepted,wait,dispatched,attempt,cancelled,expired" doc:"accepted, dispatched: the email. wait, attempt, cancelled, expired: a recipient"`
	Recipient string     `json:"recipient,omitempty" example:"ada@example.com"`
	Until     *time.Time `json:"until,omitempty" doc:"Of a wait: its end; absent where that is not known"`
	Reason    string     `json:"reason,omitempty" enum:"scheduled,daily_limit,dispatch,turn,mail_server,retry,held,tenant_suspended" doc:"Of a wait: for the scheduled time, a day with room, a workflow, its turn (or the rate limit), a mail server that can be reached, the next attempt, somebody to decide about an unknown outcome, or the end of the tenant's suspension"`
	Attempt   *Attempt   `json:"attempt,omitempty"`
	Workflow  *Workflow  `json:"workflow,omitempty" doc:"Of dispatched"`
}

// Attempt is one hand-over to a mail server.
type Attempt struct {
	Number     int      `json:"number" doc:"From 1"`
	Verdict    string   `json:"verdict" enum:"running,accepted,deferred,bounced,failed,unknown"`
	DurationMS *float64 `json:"durationMs" doc:"null while it is under way"`
	Phase      string   `json:"phase,omitempty" doc:"Where it ended" example:"rcpt"`
	Code       int      `json:"code,omitempty" doc:"SMTP reply code; absent when there was no answer" example:"250"`
	Enhanced   string   `json:"enhancedCode,omitempty" example:"5.1.1"`
	Reply      string   `json:"reply,omitempty" example:"OK: queued"`
	Peer       string   `json:"peer,omitempty" doc:"Address of the mail server" example:"192.0.2.1:25"`
	TLS        bool     `json:"tls"`
	Dialogue   []string `json:"dialogue,omitempty" doc:"What both sides said (C: and S:), without the message"`
}

func (s *Server) registerTimeline() {
	tags := []string{"Emails"}
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "get-email-timeline", Method: http.MethodGet, Path: "/emails/{id}/timeline", Tags: tags,
		Summary:     "See everything that happened to an email",
		Description: "Waits and why, every attempt with its SMTP dialogue, and what comes next.",
	}, s.getTimeline)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "get-email-content", Method: http.MethodGet, Path: "/emails/{id}/content", Tags: tags,
		Summary: "See what an email says", Description: "Rendered as it is sent: with the template version that the email is pinned to. " +
			"Links and picture of tracking are left out, so that looking at it is neither an open nor a click.",
	}, s.getContent)
}

func (s *Server) getTimeline(ctx context.Context, in *emailInput) (*body[Timeline], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	story, err := s.Store.Story(ctx, caller(ctx).ID, emailID)
	if err != nil {
		return nil, err
	}
	return &body[Timeline]{s.showTimeline(caller(ctx), story)}, nil
}

func (s *Server) showTimeline(of tenant.Tenant, story store.Story) Timeline {
	e := story.EmailRecord
	out := Timeline{EmailID: id.Email.Format(e.ID), Status: string(e.Status())}
	out.Entries = append(out.Entries, TimelineEntry{At: e.CreatedAt.UTC(), Type: "accepted"})
	if e.DispatchID != nil {
		out.Workflow = s.workflow(flow.SendEmailsID(of.ID, *e.DispatchID), e.RunID)
		out.Entries = append(out.Entries, TimelineEntry{At: story.DispatchedAt.UTC(), Type: "dispatched", Workflow: out.Workflow})
	}
	for _, r := range e.Recipients {
		out.Entries = append(out.Entries, recipientEntries(of, story, r)...)
		if at := utc(r.NextAttemptAt); at != nil && (out.NextAttemptAt == nil || at.Before(*out.NextAttemptAt)) {
			out.NextAttemptAt = at
		}
	}
	slices.SortStableFunc(out.Entries, func(a, b TimelineEntry) int { return a.At.Compare(b.At) })
	return out
}

func showAttempt(a store.AttemptRecord) *Attempt {
	shown := &Attempt{
		Number: a.Number, Verdict: a.Verdict, Phase: a.Phase, Code: a.Code, Enhanced: a.Enhanced, Reply: a.Reply, Peer: a.Peer, TLS: a.TLS,
	}
	if a.Verdict == "" {
		shown.Verdict = "running"
	}
	if a.FinishedAt != nil {
		took := float64(a.FinishedAt.Sub(a.StartedAt).Microseconds()) / 1000
		shown.DurationMS = &took
	}
	if a.Dialogue != "" {
		shown.Dialogue = strings.Split(a.Dialogue, "\n")
	}
	return shown
}

// Content is what an email says.
type Content struct {
	EmailID     string              `json:"emailId" example:"msg_01h455vb4pex5vsknk084sn02q"`
	MessageID   string              `json:"messageId" doc:"Message-ID, without its brackets" example:"msg_01h455vb4pex5vsknk084sn02q@acme.com"`
	From        string              `json:"from"`
	ReplyTo     string              `json:"replyTo,omitempty"`
	Subject     string              `json:"subject"`
	HTML        string              `json:"html,omitempty"`
	Text        string              `json:"text"`
	Headers     map[string]string   `json:"headers,omitempty"`
	Attachments []AttachmentSummary `json:"attachments"`
}

// AttachmentSummary is an attachment without its content.
type AttachmentSummary struct {
	Filename    string `json:"filename" example:"invoice.pdf"`
	ContentType string `json:"contentType" example:"application/pdf"`
	ContentID   string `json:"contentId,omitempty"`
	Size        int    `json:"size" doc:"Bytes"`
}

func (s *Server) getContent(ctx context.Context, in *emailInput) (*body[Content], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	l, err := s.Store.Letter(ctx, caller(ctx).ID, emailID)
	if err != nil {
		return nil, err
	}
	rendered, err := s.Templates.RenderEmail(ctx, l.Rendering())
	if err != nil {
		return nil, err
	}
	shown := id.Email.Format(l.ID)
	out := &body[Content]{Content{
		EmailID: shown, MessageID: email.MessageID(shown, l.From), From: l.From.String(), ReplyTo: l.Content.ReplyTo,
		Subject: rendered.Subject, HTML: rendered.HTML, Text: rendered.Text, Attachments: make([]AttachmentSummary, len(l.Content.Attachments)),
	}}
	for i, a := range l.Content.Attachments {
		out.Body.Attachments[i] = AttachmentSummary{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Size: len(a.Content),
		}
	}
	for _, h := range l.Content.Headers {
		if out.Body.Headers == nil {
			out.Body.Headers = map[string]string{}
		}
		out.Body.Headers[h.Name] = h.Value
	}
	return out, nil
}
