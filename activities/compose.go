package activities

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
	"github.com/mailtura/mailtura/internal/mail/dkim"
	"github.com/mailtura/mailtura/internal/mail/outcome"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/track"
)

// newMessages are those of a chunk. What of them is tracked is signed by the tenant's signer.
func newMessages(engine *template.Engine, keys dkim.Keys, signer track.Signer, letters map[uuid.UUID]*store.Letter) *messages {
	return &messages{
		letters: letters,
		ready:   map[uuid.UUID]func() (draft, error){},
		compose: func(ctx context.Context, l *store.Letter) (draft, error) {
			return composeLetter(ctx, engine, keys, signer, l)
		},
	}
}

// composeLetter renders an email, puts it into the form of RFC 5322, and signs it with the
// keys of its sender's domain. The bytes are the same for every attempt, but for the time of
// a signature, and, unless the email is tracked, for every recipient.
func composeLetter(ctx context.Context, engine *template.Engine, keys dkim.Keys, signer track.Signer, l *store.Letter) (draft, error) {
	m, err := renderLetter(ctx, engine, l)
	if err != nil {
		return nil, err
	}
	if tracked := l.Content.Tracking; tracked != nil && m.HTML != "" {
		page := track.Read(m.HTML, track.Options{Clicks: tracked.Clicks, Base: tracked.Base, Keep: untracked(l)})
		return func(recipient uuid.UUID) (message, error) {
			own := m
			own.HTML = page.Personal(signer, *tracked, recipient)
			return seal(own, keys)
		}, nil
	}
	one, err := seal(m, keys)
	return func(uuid.UUID) (message, error) { return one, nil }, err
}

// seal makes the bytes of a message.
func seal(m compose.Message, keys dkim.Keys) (message, error) {
	raw, err := compose.Compose(m)
	if err != nil { // by what the message has, such as a template that renders to nothing
		return message{}, fault.Wrap(err, fault.Invalid, "not_composable", "The message could not be composed.")
	}
	if len(raw) > compose.MaxEncodedBytes { // what a template prints is not known before
		return message{}, fault.New(fault.TooLarge, string(outcome.MessageTooLarge),
			"The message has %d bytes; at most %d are allowed.", len(raw), compose.MaxEncodedBytes)
	}
	if raw, err = dkim.Sign(raw, keys.Of(m.From.Domain())...); err != nil {
		return message{}, err
	}
	return message{bytes: raw, utf8: needsUTF8(m)}, nil
}

// untracked are the links by which a subscription is ended: those of List-Unsubscribe
// (RFC 2369), and the variable unsubscribeUrl.
func untracked(l *store.Letter) (keep []string) {
	for _, h := range l.Content.Headers {
		if strings.EqualFold(h.Name, "List-Unsubscribe") {
			for part := range strings.SplitSeq(h.Value, ",") {
				keep = append(keep, strings.Trim(part, " \t<>"))
			}
		}
	}
	var variables struct {
		UnsubscribeURL string `json:"unsubscribeUrl"`
	}
	if len(l.Content.Variables) > 0 && json.Unmarshal(l.Content.Variables, &variables) == nil && variables.UnsubscribeURL != "" {
		keep = append(keep, variables.UnsubscribeURL)
	}
	return keep
}

// renderLetter is the message of an email, as it is but for what is each recipient's own.
func renderLetter(ctx context.Context, engine *template.Engine, l *store.Letter) (compose.Message, error) {
	body, err := engine.RenderEmail(ctx, l.Rendering())
	if err != nil {
		return compose.Message{}, err
	}
	return l.Message(body.Subject, body.HTML, body.Text)
}

func needsUTF8(m compose.Message) bool {
	all := append([]address.Address{m.From}, m.To...)
	all = append(all, m.Cc...)
	if m.ReplyTo != nil {
		all = append(all, *m.ReplyTo)
	}
	for _, a := range all {
		if a.NeedsUTF8() {
			return true
		}
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// publicText is what may be shown of an error: the detail of a fault, and of each of its fields.
func publicText(err error) string {
	f, ok := fault.As(err)
	if !ok || f.Kind == fault.Internal {
		return "The message could not be composed."
	}
	text := f.Detail
	for _, field := range f.Fields {
		text += " " + field.Location + ": " + field.Message
	}
	return text
}
