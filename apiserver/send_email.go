package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/quota"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// SendEmail is an email to be sent. It has a template, or html, text or both of its own.
type SendEmail struct {
	To              Addresses         `json:"to" doc:"One address, or a list of them"`
	CC              []string          `json:"cc,omitempty" maxItems:"50" doc:"Addresses that every recipient sees"`
	BCC             []string          `json:"bcc,omitempty" maxItems:"50" doc:"Addresses that no recipient sees"`
	From            string            `json:"from,omitempty" maxLength:"400" doc:"Sender, on the tenant's domain or on a verified domain of the tenant; the tenant's fromEmail when it is absent" example:"Acme <hello@acme.com>"`
	FromName        string            `json:"fromName,omitempty" maxLength:"200" doc:"Sender name; stands before the one in from and the tenant's"`
	ReplyTo         string            `json:"replyTo,omitempty" maxLength:"400" doc:"Where answers go; the tenant's replyTo when it is absent"`
	Subject         string            `json:"subject,omitempty" maxLength:"2000" doc:"Required without a template; with one it stands in for the template's"`
	HTML            string            `json:"html,omitempty"`
	Text            string            `json:"text,omitempty" doc:"Derived from html when it is absent"`
	Template        string            `json:"template,omitempty" maxLength:"100" doc:"Name of a template of the tenant" example:"welcome"`
	TemplateVersion int32             `json:"templateVersion,omitempty" minimum:"1" doc:"An older version of the template; the current one when it is absent"`
	Variables       map[string]any    `json:"variables,omitempty" doc:"Values for the template, at most 64 kB of JSON. With them, subject, html and text of the email itself are Handlebars as well; without them they are sent as they are."`
	Attachments     []Attachment      `json:"attachments,omitempty" maxItems:"20"`
	Headers         map[string]string `json:"headers,omitempty" doc:"Further header fields, such as List-Id. Fields that Mailtura sets itself are refused."`
	Tags            []string          `json:"tags,omitempty" maxItems:"20" doc:"Words to find the email by"`
	ScheduledAt     *time.Time        `json:"scheduledAt,omitempty" doc:"Not before this time, at most 30 days ahead; in the past it means at once"`
	ExpiresAt       *time.Time        `json:"expiresAt,omitempty" doc:"Of no use after this time: what was not sent by then expires"`
	Class           string            `json:"class,omitempty" enum:"transactional,bulk" doc:"Bulk waits behind transactional mail; transactional when it is absent"`
	Metadata        map[string]any    `json:"metadata,omitempty" doc:"Anything of yours, at most 8 kB of JSON; given back with the email"`
	Tracking        *EmailTracking    `json:"tracking,omitempty" doc:"Whether opens and clicks are recorded"`
}

// Attachment is a file of an email.
type Attachment struct {
	Filename    string `json:"filename" minLength:"1" maxLength:"255" example:"invoice.pdf"`
	Content     []byte `json:"content" doc:"base64"`
	ContentType string `json:"contentType,omitempty" maxLength:"200" doc:"Guessed from the filename when it is absent" example:"application/pdf"`
	ContentID   string `json:"contentId,omitempty" maxLength:"200" doc:"Makes it an inline part that html shows by cid:<contentId>" example:"logo"`
}

// Addresses is one address or a list of them.
type Addresses []string

// UnmarshalJSON reads a string or an array of strings.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		err := json.Unmarshal(b, &one)
		*a = Addresses{one}
		return err
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// Schema is a string or an array of strings.
func (Addresses) Schema(huma.Registry) *huma.Schema {
	one, fifty := 1, 50
	return &huma.Schema{Examples: []any{"Ada Lovelace <ada@example.com>"}, OneOf: []*huma.Schema{
		{Type: huma.TypeString},
		{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MinItems: &one, MaxItems: &fifty},
	}}
}

// wrongAddresses says what is wrong with a value that is not Addresses, the only one with more than one form.
func wrongAddresses(location string, value any) (fields []fault.Field) {
	list, ok := value.([]any)
	if !ok {
		return []fault.Field{{Location: location, Code: "invalid_value", Message: "expected an address or an array of addresses"}}
	}
	for i, one := range list {
		if _, ok := one.(string); !ok {
			fields = append(fields, fault.Field{Location: fmt.Sprintf("%s[%d]", location, i), Code: "invalid_value", Message: "expected string"})
		}
	}
	if len(fields) == 0 {
		return []fault.Field{{Location: location, Code: "bad_length", Message: fmt.Sprintf("expected 1 to %d addresses", maxRecipients)}}
	}
	return fields
}

// Accepted is the answer to an email that will be sent.
type Accepted struct {
	ID         string              `json:"id" example:"msg_01h455vb4pex5vsknk084sn02q"`
	Status     string              `json:"status" enum:"queued,scheduled,held" example:"queued"`
	ReleaseAt  *time.Time          `json:"releaseAt,omitempty" doc:"Until when a scheduled or held email waits"`
	Recipients []AcceptedRecipient `json:"recipients"`
	Quota      Quota               `json:"quota"`
}

// AcceptedRecipient is one recipient of it.
type AcceptedRecipient struct {
	ID     string `json:"id" example:"rcp_01h455vb4pex5vsknk084sn02q"`
	Email  string `json:"email" example:"ada@example.com"`
	Status string `json:"status" enum:"queued,scheduled,held" example:"queued"`
}

type acceptedOutput struct {
	RateLimitHeaders
	Body Accepted
}

// RateLimitHeaders say where the tenant stands against its daily limit.
type RateLimitHeaders struct {
	RateLimit       string `header:"RateLimit" doc:"What the day has left (draft-ietf-httpapi-ratelimit-headers); absent without a daily limit"`
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"The daily limit; absent without one"`
}

func rateLimitHeaders(q quota.Standing) (h RateLimitHeaders) {
	if left := q.Remaining(); left != nil {
		reset := int(time.Until(q.ResetsAt).Seconds()) + 1
		h.RateLimit = `"day";r=` + strconv.Itoa(*left) + ";t=" + strconv.Itoa(reset)
		h.RateLimitPolicy = `"day";q=` + strconv.Itoa(*q.Limit) + ";w=86400"
	}
	return h
}

func (s *Server) sendEmail(ctx context.Context, in *struct {
	TenantHeader
	Body SendEmail
},
) (*acceptedOutput, error) {
	return s.accept(ctx, &in.Body)
}

// accept takes one email in.
func (s *Server) accept(ctx context.Context, in *SendEmail) (*acceptedOutput, error) {
	e, err := s.compile(ctx, caller(ctx), in, pins{})
	if err != nil {
		return nil, err
	}
	e.TraceParent = telemetry.TraceParent(ctx)
	receipts, err := s.Intake.AcceptAll(ctx, intake.Request{
		Emails: []email.Email{e},
		Answer: onceAnswer(ctx, http.StatusAccepted, func(receipts []intake.Receipt) any { return showAccepted(e, receipts[0]).Body }),
	})
	if err != nil {
		return nil, err
	}
	if err := receipts[0].Err; err != nil {
		return nil, err
	}
	return showAccepted(e, receipts[0]), nil
}

func showAccepted(e email.Email, receipt intake.Receipt) *acceptedOutput {
	out := &acceptedOutput{RateLimitHeaders: rateLimitHeaders(receipt.Quota), Body: Accepted{
		ID: id.Email.Format(e.ID), Status: string(receipt.Status), Quota: showQuota(receipt.Quota),
		Recipients: make([]AcceptedRecipient, len(e.Recipients)),
	}}
	if !receipt.ReleaseAt.IsZero() {
		out.Body.ReleaseAt = utc(&receipt.ReleaseAt)
	}
	for i, r := range e.Recipients {
		out.Body.Recipients[i] = AcceptedRecipient{ID: id.Recipient.Format(r.ID), Email: r.Address.Addr, Status: string(receipt.Status)}
	}
	return out
}

func (s *Server) registerEmails() {
	tags := []string{"Emails"}
	register(s, forTenants(apikey.EmailsSend), s.creates(huma.Operation{
		OperationID: "send-email", Method: http.MethodPost, Path: "/emails", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send an email",
		Errors:  []int{http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests},
		Description: "202 means that the email is on disk and will be sent; what became of it is at GET /emails/{id}. " +
			"Over the daily limit nothing is sent to anybody, and the answer is 429.",
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: 5 * time.Minute,
	}), s.sendEmail)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "list-emails", Method: http.MethodGet, Path: "/emails", Tags: tags, Summary: "List emails",
	}, s.listEmails)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "get-email", Method: http.MethodGet, Path: "/emails/{id}", Tags: tags, Summary: "See what became of an email",
	}, s.getEmail)
}
