package apiserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// Email is an email as it stands.
type Email struct {
	ID              string         `json:"id" example:"msg_01h455vb4pex5vsknk084sn02q"`
	Status          string         `json:"status" enum:"scheduled,held,queued,sending,deferred,sent,bounced,failed,cancelled,expired,unknown" doc:"What the recipients' statuses make together: under way as long as one of them is, then the worst of them"`
	From            string         `json:"from" example:"Acme Corporation <noreply@acme.com>"`
	Subject         string         `json:"subject" doc:"As it was asked for; empty when the template has it"`
	TemplateID      string         `json:"templateId,omitempty" example:"tpl_01h455vb4pex5vsknk084sn02q"`
	TemplateVersion *int32         `json:"templateVersion,omitempty" doc:"The version that was current when the email was accepted"`
	Tags            []string       `json:"tags"`
	Metadata        map[string]any `json:"metadata"`
	Recipients      []Recipient    `json:"recipients"`
	Workflow        *Workflow      `json:"workflow" doc:"The Temporal workflow that sends it; null for the moment before one does"`
	Class           string         `json:"class" enum:"transactional,bulk"`
	ScheduledAt     *time.Time     `json:"scheduledAt,omitempty" doc:"When it was asked to be sent"`
	ExpiresAt       *time.Time     `json:"expiresAt,omitempty"`
	ReleaseAt       *time.Time     `json:"releaseAt,omitempty" doc:"Until when a scheduled or held email waits"`
	CreatedAt       time.Time      `json:"createdAt"`
}

// Recipient is a recipient as it stands.
type Recipient struct {
	ID            string     `json:"id" example:"rcp_01h455vb4pex5vsknk084sn02q"`
	Email         string     `json:"email" example:"ada@example.com"`
	Name          string     `json:"name,omitempty"`
	Kind          string     `json:"kind" enum:"to,cc,bcc"`
	Status        string     `json:"status" enum:"scheduled,held,queued,sending,deferred,sent,bounced,failed,cancelled,expired,unknown"`
	Attempts      int        `json:"attempts" doc:"Hand-overs so far"`
	NextAttemptAt *time.Time `json:"nextAttemptAt" doc:"When a deferred recipient is tried again"`
	Reason        string     `json:"reason,omitempty" doc:"Category of the last answer" example:"mailbox_full"`
	Detail        string     `json:"detail,omitempty" doc:"The last answer of the mail server"`
	UpdatedAt     time.Time  `json:"updatedAt"`

	Engagement *Engagement `json:"engagement,omitempty" doc:"What the recipient did with a tracked email; absent before there is anything"`
}

// Engagement counts opens and clicks of a recipient. What machines did is counted apart.
type Engagement struct {
	Opens           int        `json:"opens" doc:"All that are not automated"`
	OpenedAt        *time.Time `json:"openedAt" doc:"The first of them; null without any"`
	Clicks          int        `json:"clicks" doc:"All that are not automated"`
	ClickedAt       *time.Time `json:"clickedAt" doc:"The first of them; null without any"`
	AutomatedOpens  int        `json:"automatedOpens"`
	AutomatedClicks int        `json:"automatedClicks"`
}

func showEngagement(e store.Engagement) *Engagement {
	if e == (store.Engagement{}) {
		return nil
	}
	return &Engagement{
		Opens: e.Opens, OpenedAt: utc(e.OpenedAt), Clicks: e.Clicks, ClickedAt: utc(e.ClickedAt),
		AutomatedOpens: e.AutomatedOpens, AutomatedClicks: e.AutomatedClicks,
	}
}

// EmailPath is the path of an email.
type EmailPath struct {
	ID string `path:"id" maxLength:"40" example:"msg_01h455vb4pex5vsknk084sn02q"`
}

func (s *Server) getEmail(ctx context.Context, in *struct {
	TenantHeader
	EmailPath
	IfNoneMatchHeader
},
) (*resource[Email], error) {
	emailID, err := in.emailID()
	if err != nil {
		return nil, err
	}
	return s.emailNow(ctx, emailID)
}

func (s *Server) listEmails(ctx context.Context, in *struct {
	TenantHeader
	Page
	Status    string `query:"status" enum:"scheduled,held,queued,sending,deferred,sent,bounced,failed,cancelled,expired,unknown" doc:"Emails with a recipient of this status"`
	Recipient string `query:"recipient" maxLength:"400" doc:"Emails to this address" example:"ada@example.com"`
	Tag       string `query:"tag" maxLength:"64" doc:"Emails with this tag"`
},
) (*body[list[Email]], error) {
	recipient, err := recipientFilter(in.Recipient)
	if err != nil {
		return nil, err
	}
	filter := store.EmailFilter{Status: in.Status, Recipient: recipient, Tag: in.Tag}
	items, next, err := s.Store.ListEmails(ctx, caller(ctx).ID, filter, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, func(e store.EmailRecord) Email { return s.showEmail(caller(ctx).ID, e) }), nil
}

func (s *Server) showEmail(tenantID string, e store.EmailRecord) Email {
	shown := Email{
		ID: id.Email.Format(e.ID), Status: string(e.Status()), From: e.From.String(), Subject: e.Subject,
		TemplateVersion: e.TemplateVersion, Tags: e.Tags, Recipients: make([]Recipient, len(e.Recipients)), CreatedAt: e.CreatedAt.UTC(),
		Class: string(e.Class), ScheduledAt: utc(e.ScheduledAt), ExpiresAt: utc(e.ExpiresAt), ReleaseAt: utc(e.ReleaseAt),
	}
	_ = json.Unmarshal(e.Metadata, &shown.Metadata) // it was an object when it was stored
	if e.TemplateID != nil {
		shown.TemplateID = id.Template.Format(*e.TemplateID)
	}
	if e.DispatchID != nil {
		shown.Workflow = s.workflow(flow.SendEmailsID(tenantID, *e.DispatchID), e.RunID)
	}
	for i, r := range e.Recipients {
		shown.Recipients[i] = Recipient{
			ID: id.Recipient.Format(r.ID), Email: r.Address.Addr, Name: r.Address.Name, Kind: string(r.Kind),
			Status: string(r.Status), Attempts: r.Attempts, NextAttemptAt: utc(r.NextAttemptAt),
			Reason: r.Reason, Detail: r.Detail, UpdatedAt: r.UpdatedAt.UTC(),
			Engagement: showEngagement(r.Engagement),
		}
	}
	return shown
}
