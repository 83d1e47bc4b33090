// Package audit holds what the log of administrative acts is: who did what to what, chained
// by hashes so that no entry can be changed, taken out or put in without a trace.
//
// An entry is a JSON object, the same in the database, in the API and in an exported file. Its
// hash is the SHA-256 of the object without the member "hash" in canonical form (RFC 8785:
// members sorted, no white space); its "previous" is the hash of the entry before. Whoever has
// kept one hash somewhere else can so tell that nothing up to that entry was changed.
package audit

import (
	"context"
	"encoding/json"
	"time"
)

// Kind says what sort of actor somebody is.
type Kind string

// The kinds of actors.
const (
	OperatorKey       Kind = "operator_key"       // the id is the key's
	TenantKey         Kind = "tenant_key"         // the id is the key's
	CommandLine       Kind = "command_line"       // the id is the user of the operating system
	ConfigurationFile Kind = "configuration_file" // the id is the path of the file
	System            Kind = "system"             // Mailtura itself, such as a workflow
)

// Actor is who does something.
type Actor struct {
	Kind Kind   `json:"kind" enum:"operator_key,tenant_key,command_line,configuration_file,system" doc:"system is Mailtura itself"`
	ID   string `json:"id" doc:"Id of the key, user of the operating system, or path of the file; empty for system" example:"key_01h455vb4pex5vsknk084sn02q"`
}

type (
	actorKey struct{}
	noteKey  struct{}
)

// WithActor says who does what is done under the context.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf is who does what is done under the context; without anybody, Mailtura itself.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: System}
}

// WithNote adds what the actor himself says about what is done under the context.
func WithNote(ctx context.Context, note string) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// NoteOf is what the actor says about it; empty: nothing.
func NoteOf(ctx context.Context) string {
	note, _ := ctx.Value(noteKey{}).(string)
	return note
}

// Action is what was done: a thing and a verb, with a dot between them.
type Action string

// The actions of this package's users.
const (
	TenantCreate      Action = "tenant.create"
	TenantUpdate      Action = "tenant.update"
	TenantDelete      Action = "tenant.delete"
	TenantRestore     Action = "tenant.restore"
	TenantSuspend     Action = "tenant.suspend"
	TenantResume      Action = "tenant.resume"
	APIKeyCreate      Action = "api_key.create"
	APIKeyRotate      Action = "api_key.rotate" //nolint:gosec // what was done with a key, not one
	APIKeyRevoke      Action = "api_key.revoke" //nolint:gosec // as above
	OperatorKeyCreate Action = "operator_key.create"
	OperatorKeyRotate Action = "operator_key.rotate"
	OperatorKeyRevoke Action = "operator_key.revoke"
	TemplateCreate    Action = "template.create"
	TemplateUpdate    Action = "template.update"
	TemplateDelete    Action = "template.delete"

	WebhookCreate       Action = "webhook.create"
	WebhookUpdate       Action = "webhook.update"
	WebhookDelete       Action = "webhook.delete"
	WebhookRotateSecret Action = "webhook.rotate_secret" //nolint:gosec // as above

	DomainCreate     Action = "domain.create"
	DomainDelete     Action = "domain.delete"
	DomainRotateKeys Action = "domain.rotate_keys"
)

// Act is something that is to be written down.
type Act struct {
	Action   Action
	TenantID string // empty: it is of no tenant
	Target   string // id or name of what it was done to
	// Before and After are the thing as JSON shows it; nil: it was not, or is not any more. Of
	// two objects only the members that differ are kept, and of secrets only that they differ.
	Before, After any
}

// Entry is an act in the log.
type Entry struct {
	Number    int64           `json:"number" doc:"Counts from 1 without a gap"`
	At        time.Time       `json:"at" doc:"By the clock of the database"`
	Actor     Actor           `json:"actor"`
	Action    Action          `json:"action" example:"tenant.update"`
	TenantID  *string         `json:"tenantId" example:"acme-corp"`
	Target    string          `json:"target" doc:"Id or name of what it was done to" example:"acme-corp"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	Note      string          `json:"note" doc:"X-Audit-Note of the request; empty: none"`
	RequestID string          `json:"requestId" doc:"X-Request-Id of the request; empty: it was none"`
	Previous  string          `json:"previous" doc:"Hash of the entry before, in hexadecimal; zeros for the first"`
	Hash      string          `json:"hash" doc:"SHA-256 of the entry without this member, in canonical form (RFC 8785), in hexadecimal"`
}
