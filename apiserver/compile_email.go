package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
)

const (
	maxRecipients = 50
	maxVariables  = 64 << 10 // bytes of JSON
	maxMetadata   = 8 << 10  // bytes of JSON
	maxHeaders    = 50
	maxTag        = 64 // characters
)

// compiler turns a request into an email, and gathers everything that is wrong with it.
type compiler struct {
	tenant tenant.Tenant
	in     *SendEmail
	out    email.Email
	pins   pins
	fields []fault.Field
}

// pins are templates that the emails of one request have in common.
type pins map[pin]pinned

// pin names a version of a template; 0 is the current one.
type pin struct {
	name    string
	version int32
}

// pinned is a template with the schema of its variables, ready to check; nil: it has none.
type pinned struct {
	store.Template
	schema *template.Schema
}

// compile checks a request against the tenant and makes it an email with its template
// pinned. The fault has a field for each thing that is wrong.
func (s *Server) compile(ctx context.Context, t tenant.Tenant, in *SendEmail, known pins) (email.Email, error) {
	if err := tenant.MaySend(t.Status); err != nil {
		return email.Email{}, err
	}
	c := compiler{tenant: t, in: in, pins: known, out: email.Email{ID: id.New(), TenantID: t.ID, Subject: in.Subject, Tags: in.Tags}}
	c.schedule(time.Now())
	c.sender()
	if err := s.checkSender(ctx, &c); err != nil {
		return email.Email{}, err
	}
	c.recipients()
	c.labels()
	c.headers()
	c.attachments()
	c.body()
	c.tracking(s.Tracking.Base)
	if err := s.content(ctx, &c); err != nil {
		return email.Email{}, err
	}
	if len(c.fields) > 0 {
		return email.Email{}, fault.InvalidFields(c.fields...)
	}
	return c.out, c.size()
}

func (c *compiler) wrong(location, code, message string) {
	c.fields = append(c.fields, fault.Field{Location: location, Code: code, Message: message})
}

// fault adds what is wrong by an error of another package.
func (c *compiler) fault(location string, err error) {
	if f, ok := fault.As(err); ok {
		c.wrong(location, f.Code, f.Detail)
	} else if err != nil {
		c.wrong(location, "invalid_value", "is not valid")
	}
}

func (c *compiler) line(location, value string) {
	if code, message := compose.CheckLine(value); code != "" {
		c.wrong(location, code, message)
	}
}

// maxAhead is how far ahead an email can be scheduled.
const maxAhead = 30 * 24 * time.Hour

func (c *compiler) schedule(now time.Time) {
	c.out.Class = email.Transactional
	if c.in.Class != "" {
		c.out.Class = email.Class(c.in.Class)
	}
	start := now
	if at := c.in.ScheduledAt; at != nil && at.After(now) {
		c.out.ScheduledAt, start = *at, *at
		if at.After(now.Add(maxAhead)) {
			c.wrong("body.scheduledAt", "out_of_range", "at most 30 days from now")
		}
	}
	if at := c.in.ExpiresAt; at != nil {
		c.out.ExpiresAt = *at
		if !at.After(start) {
			c.wrong("body.expiresAt", "out_of_range", "must be in the future, and after scheduledAt")
		}
	}
}

func (c *compiler) sender() {
	c.out.From = address.Address{Addr: c.tenant.Settings.FromEmail, Name: c.tenant.Settings.FromName}
	if c.in.From != "" {
		from, err := address.Parse(c.in.From)
		c.fault("body.from", err)
		if from.Name == "" {
			from.Name = c.tenant.Settings.FromName
		}
		c.out.From = from
	} else if c.out.From.Addr == "" {
		c.wrong("body.from", "required", "the tenant has no fromEmail, so the email needs a from")
	}
	if c.in.FromName != "" {
		c.out.From.Name = c.in.FromName
	}
	c.line("body.fromName", c.in.FromName)
	c.out.Content.ReplyTo = c.tenant.Settings.ReplyTo
	if c.in.ReplyTo != "" {
		_, err := address.Parse(c.in.ReplyTo)
		c.fault("body.replyTo", err)
		c.out.Content.ReplyTo = c.in.ReplyTo
	}
}

func (c *compiler) recipients() {
	seen := map[string]bool{}
	c.group(email.To, "body.to", c.in.To, seen)
	c.group(email.CC, "body.cc", c.in.CC, seen)
	c.group(email.BCC, "body.bcc", c.in.BCC, seen)
	if len(c.in.To) == 0 {
		c.wrong("body.to", "required", "an email needs at least one recipient")
	}
	if n := len(c.out.Recipients); n > maxRecipients {
		c.wrong("body.to", "too_many_recipients",
			fmt.Sprintf("to, cc and bcc have %d recipients together; at most %d are allowed", n, maxRecipients))
	}
}

func (c *compiler) group(kind email.Kind, location string, addresses []string, seen map[string]bool) {
	for i, text := range addresses {
		at := fmt.Sprintf("%s[%d]", location, i)
		a, err := address.Parse(text)
		if err != nil {
			c.fault(at, err)
			continue
		}
		if seen[a.Addr] {
			c.wrong(at, "duplicate_recipient", "this address is a recipient already")
		}
		seen[a.Addr] = true
		c.out.Recipients = append(c.out.Recipients, email.Recipient{ID: id.New(), Kind: kind, Address: a})
	}
}

func (c *compiler) labels() {
	for i, tag := range c.in.Tags {
		if strings.TrimSpace(tag) == "" || len([]rune(tag)) > maxTag || strings.ContainsFunc(tag, isControl) {
			c.wrong(fmt.Sprintf("body.tags[%d]", i), "invalid_tag", fmt.Sprintf("a tag has 1 to %d characters and no control characters", maxTag))
		}
	}
	if c.in.Metadata != nil {
		c.out.Metadata = c.json("body.metadata", c.in.Metadata, maxMetadata)
	}
}

// json encodes a free object, which the database refuses to hold with a NUL in it.
func (c *compiler) json(location string, v map[string]any, limit int) json.RawMessage {
	raw, err := json.Marshal(v)
	switch {
	case err != nil:
		c.fault(location, err)
	case len(raw) > limit:
		c.wrong(location, "too_large", fmt.Sprintf("has %d bytes of JSON; at most %d are allowed", len(raw), limit))
	case strings.Contains(string(raw), `\u0000`):
		c.wrong(location, "invalid_character", "has a NUL character")
	}
	return raw
}

func (c *compiler) headers() {
	if len(c.in.Headers) > maxHeaders {
		c.wrong("body.headers", "too_many_headers", fmt.Sprintf("at most %d headers are allowed", maxHeaders))
	}
	for _, name := range slices.Sorted(maps.Keys(c.in.Headers)) {
		value := c.in.Headers[name]
		if code, message := compose.CheckHeader(name, value); code != "" {
			c.wrong("body.headers."+name, code, message)
		}
		c.out.Content.Headers = append(c.out.Content.Headers, email.Header{Name: name, Value: value})
	}
}

func (c *compiler) attachments() {
	for i, a := range c.in.Attachments {
		at := fmt.Sprintf("body.attachments[%d]", i)
		c.line(at+".filename", a.Filename)
		if a.ContentType == "" {
			if a.ContentType = mime.TypeByExtension(path.Ext(a.Filename)); a.ContentType == "" {
				a.ContentType = "application/octet-stream"
			}
		}
		_, _, err := mime.ParseMediaType(a.ContentType)
		if err != nil || !strings.Contains(a.ContentType, "/") || strings.ContainsFunc(a.ContentType, isControl) {
			c.wrong(at+".contentType", "invalid_content_type", "not a media type such as application/pdf")
		}
		if strings.ContainsFunc(a.ContentID, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"()\`, r) }) {
			c.wrong(at+".contentId", "invalid_content_id", "a content id is printable ASCII without spaces, quotes and brackets")
		}
		c.out.Content.Attachments = append(c.out.Content.Attachments, email.Attachment{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Content: a.Content,
		})
	}
}

// body checks what the email says itself.
func (c *compiler) body() {
	c.line("body.subject", c.in.Subject)
	if field, bad := noNUL("body.html", c.in.HTML, "body.text", c.in.Text); bad {
		c.fields = append(c.fields, field)
	}
	c.out.Content.HTML, c.out.Content.Text = c.in.HTML, c.in.Text
	if c.in.Variables != nil {
		c.out.Content.Variables = c.json("body.variables", c.in.Variables, maxVariables)
	}
	own := c.in.HTML != "" || c.in.Text != ""
	switch {
	case c.in.Template != "" && own:
		c.wrong("body.template", "template_and_content", "an email has a template, or html and text of its own")
	case c.in.Template == "" && !own:
		c.wrong("body", "required", "an email needs html, text or a template")
	case c.in.Template == "" && c.in.TemplateVersion != 0:
		c.wrong("body.templateVersion", "required", "it is the version of a template, and there is none")
	case c.in.Template == "" && c.in.Subject == "":
		c.wrong("body.subject", "required", "an email without a template needs a subject")
	}
}

// content pins the template and checks the variables against it.
func (s *Server) content(ctx context.Context, c *compiler) error {
	own := template.Source{Subject: c.in.Subject, HTML: c.in.HTML, Text: c.in.Text}
	switch {
	case len(c.fields) > 0: // wrong already, and not worth more work
		return nil
	case c.in.Template != "":
		return s.pin(ctx, c)
	case c.in.Variables != nil:
		return s.checkOwn(ctx, c, own)
	}
	return nil
}

func (s *Server) pin(ctx context.Context, c *compiler) error {
	t, err := s.pinned(ctx, c)
	if err != nil || t == nil {
		return err
	}
	if c.in.Subject != "" {
		if err := s.checkOwn(ctx, c, template.Source{Subject: c.in.Subject}); err != nil {
			return err
		}
	}
	if t.schema == nil {
		c.fields = append(c.fields, template.MissingVariables(t.Required, c.out.Content.Variables)...)
		return nil
	}
	c.fields = append(c.fields, t.schema.Validate(c.out.Content.Variables)...)
	return nil
}

// pinned pins the template that the email names; nil, and what is wrong, when there is none.
func (s *Server) pinned(ctx context.Context, c *compiler) (*pinned, error) {
	key := pin{c.in.Template, c.in.TemplateVersion}
	t, known := c.pins[key]
	if !known {
		var err error
		t, err = s.loadTemplate(ctx, c.tenant.ID, key)
		if f, ok := fault.As(err); ok && f.Kind == fault.NotFound {
			c.wrong("body.template", f.Code, f.Detail)
			return nil, nil //nolint:nilnil // it is said what is wrong
		}
		if err != nil {
			return nil, err
		}
		c.pins[key] = t
	}
	if t.Kind == store.KindPartial {
		c.wrong("body.template", "template_is_partial", "it is a partial, which only templates can call")
		return nil, nil //nolint:nilnil // it is said what is wrong
	}
	c.out.TemplateID, c.out.TemplateVersion = &t.ID, &t.Version
	if t.Source.Subject == "" && c.in.Subject == "" {
		c.wrong("body.subject", "required", "the template has no subject, so the email needs one")
	}
	return &t, nil
}

func (s *Server) loadTemplate(ctx context.Context, tenantID string, key pin) (p pinned, err error) {
	if key.version == 0 {
		p.Template, err = s.Store.Template(ctx, tenantID, key.name)
	} else {
		p.Template, err = s.Store.TemplateAt(ctx, tenantID, key.name, key.version)
	}
	if err != nil || p.Variables == nil {
		return p, err
	}
	if p.schema, err = template.CompileSchema(p.Variables); err != nil {
		return p, fmt.Errorf("compile schema of template %s: %w", key.name, err)
	}
	return p, nil
}

// checkOwn checks what the email itself has as Handlebars.
func (s *Server) checkOwn(ctx context.Context, c *compiler, source template.Source) error {
	analysis, err := s.Templates.Check(ctx, source)
	if f, ok := fault.As(err); ok && f.Kind == fault.Invalid {
		c.fields = append(c.fields, f.Fields...)
		return nil
	}
	if err == nil {
		c.fields = append(c.fields, template.MissingVariables(analysis.Required, c.out.Content.Variables)...)
	}
	return err
}

// size refuses what would be too large on the wire.
func (c *compiler) size() error {
	m := compose.Message{Subject: c.in.Subject, HTML: c.in.HTML, Text: c.in.Text}
	for _, a := range c.out.Content.Attachments {
		m.Attachments = append(m.Attachments, compose.Attachment{Filename: a.Filename, Content: a.Content})
	}
	if n := compose.EncodedSize(m); n > compose.MaxEncodedBytes {
		return fault.New(fault.TooLarge, "message_too_large",
			"The message would have about %d bytes; at most %d are allowed.", n, compose.MaxEncodedBytes)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// noNUL finds a text with a NUL in it, which no database and no mail server takes; the
// arguments are pairs of a location and a text.
func noNUL(pairs ...string) (fault.Field, bool) {
	for pair := range slices.Chunk(pairs, 2) {
		if strings.ContainsRune(pair[1], 0) {
			return fault.Field{Location: pair[0], Code: "invalid_character", Message: "has a NUL character"}, true
		}
	}
	return fault.Field{}, false
}
