package apiserver

import (
	"context"
	"time"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/compose"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// PreviewTo is who the source of a preview is made out to.
type PreviewTo struct {
	To Addresses `json:"to,omitempty" doc:"Who the source is made out to: one address, or a list of them; recipient@example.com when it is absent"`
}

// sample is whom a preview is made out to unless somebody is named. No mail goes to it (RFC 2606).
const sample = "recipient@example.com"

// envelope is an email to somebody as the tenant would send it, without what it says.
func (to PreviewTo) envelope(ctx context.Context) (*email.Email, error) {
	c := compiler{tenant: caller(ctx), in: &SendEmail{To: to.To}, out: email.Email{CreatedAt: time.Now()}}
	if len(c.in.To) == 0 {
		c.in.To = Addresses{sample}
	}
	c.recipients()
	if len(c.fields) > 0 {
		return nil, fault.InvalidFields(c.fields...)
	}
	c.sender()
	return &c.out, nil
}

// source is the message that is sent for what was rendered, byte for byte but for what its
// description names; empty where an email of the template alone could not be sent.
func source(e *email.Email, t store.Template, rendered template.Rendered) (string, error) {
	empty := rendered.HTML == "" && rendered.Text == ""
	if t.Kind == store.KindPartial || t.Source.Subject == "" || e.From.Addr == "" || empty {
		return "", nil
	}
	m, err := e.Message(rendered.Subject, rendered.HTML, rendered.Text)
	if err != nil {
		return "", err
	}
	raw, err := compose.Compose(m)
	return string(raw), err
}
