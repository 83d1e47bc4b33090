// Package email holds the words of a send: an email is what one API call asks for, a
// recipient is one address of it, and its status derives from theirs.
package email

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/track"
)

// Status is where a recipient, or a whole email, stands.
type Status string

// The states of a recipient.
const (
	Scheduled Status = "scheduled" // accepted; waits for the time that was asked for
	Held      Status = "held"      // accepted over the daily limit; waits for a day with room
	Queued    Status = "queued"    // accepted; waits for its turn
	Sending   Status = "sending"   // an attempt is under way
	Deferred  Status = "deferred"  // a temporary refusal; tried again at the time that is shown
	Sent      Status = "sent"      // handed to a relay
	Bounced   Status = "bounced"   // refused for good
	Failed    Status = "failed"    // given up: it could not be rendered, or was deferred for too long
	Cancelled Status = "cancelled" // taken back before it was sent
	Expired   Status = "expired"   // not sent in time, as its sender asked
	Unknown   Status = "unknown"   // cut off before the answer, and held as the tenant chose
)

// MailServerDown is the reason of a recipient that is queued because no mail server could be tried.
const MailServerDown = "mail_server_down"

// Final reports whether nothing more will happen by itself.
func (s Status) Final() bool {
	switch s {
	case Sent, Bounced, Failed, Cancelled, Expired, Unknown:
		return true
	case Scheduled, Held, Queued, Sending, Deferred:
	}
	return false
}

// precedence says which recipient status speaks for the email: the first of these that
// any recipient has. So an email is under way as long as one recipient is, and one that
// arrived for some and bounced for others says so by naming the trouble.
var precedence = []Status{Sending, Queued, Deferred, Scheduled, Held, Unknown, Failed, Bounced, Expired, Cancelled, Sent}

// Overall is the status of an email whose recipients have these.
func Overall(recipients []Status) Status {
	for _, s := range precedence {
		for _, r := range recipients {
			if r == s {
				return s
			}
		}
	}
	return Queued
}

// Kind is the header in which a recipient stands.
type Kind string

// The kinds of recipients.
const (
	To  Kind = "to"
	CC  Kind = "cc"
	BCC Kind = "bcc"
)

// Class says how urgent an email is.
type Class string

// The classes. Bulk waits behind transactional mail.
const (
	Transactional Class = "transactional"
	Bulk          Class = "bulk"
)

// Recipient is one address of an email.
type Recipient struct {
	ID      uuid.UUID
	Kind    Kind
	Address address.Address
}

// Email is an accepted email.
type Email struct {
	ID              uuid.UUID
	TenantID        string
	From            address.Address
	Subject         string // before rendering; empty when the template has it
	TemplateID      *uuid.UUID
	TemplateVersion *int32
	Tags            []string
	Metadata        json.RawMessage // a JSON object
	TraceParent     string          // W3C traceparent of the request
	Class           Class
	ScheduledAt     time.Time // zero: at once
	ExpiresAt       time.Time // zero: never
	CreatedAt       time.Time
	TriedSince      time.Time // when its 72 hours of attempts begin; not before CreatedAt
	Recipients      []Recipient
	Content         Content
}

// Content is the part of an email that is only read to compose it.
type Content struct {
	HTML        string          `json:"html,omitempty"`
	Text        string          `json:"text,omitempty"`
	Variables   json.RawMessage `json:"variables,omitempty"` // nil: HTML and Text are literal
	ReplyTo     string          `json:"replyTo,omitempty"`
	Headers     []Header        `json:"headers,omitempty"`
	Attachments []Attachment    `json:"attachments,omitempty"`
	Tracking    *track.Choice   `json:"tracking,omitempty"` // nil: nothing of it is tracked
}

// Header is a header field that the caller adds.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attachment is a file; with a ContentID it is shown inside the HTML ("cid:").
type Attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Content     []byte `json:"content"`
}

// Dispatch is emails of a tenant that one workflow carries.
type Dispatch struct {
	TenantID string
	ID       uuid.UUID
	Class    Class
	Weight   float32 // fair share of the tenant against others
	Emails   int
	// BulkSendID is the bulk send of which it carries a chunk; nil: of none.
	BulkSendID *uuid.UUID
}

// MessageID is the Message-ID of an email without its angle brackets (RFC 5322 §3.6.4):
// the same for every recipient and every attempt.
func MessageID(shownID string, from address.Address) string {
	return shownID + "@" + from.Domain()
}
