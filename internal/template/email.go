package template

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Email is an email to be rendered.
type Email struct {
	Key       string  // names Pinned, for the cache of parsed templates
	Pinned    *Source // the template; nil: the email has its own content
	Own       Source  // with a template, a subject here stands in for the template's
	Variables []byte  // JSON; nil without a template: what the email has is literal
	// Shared names everything but the variables, for the same cache, where many emails have
	// it in common; empty: they do not.
	Shared string
}

// RenderEmail fills in the variables of an email, derives its text from its HTML where
// it has none, and inlines its CSS where the template wants it.
func (e *Engine) RenderEmail(ctx context.Context, in Email) (Rendered, error) {
	source, key := in.Own, ""
	switch {
	case in.Pinned != nil:
		source, key = *in.Pinned, in.Key
		if in.Own.Subject != "" && in.Shared == "" {
			return e.underSubject(ctx, in)
		}
		source.Subject = cmp.Or(in.Own.Subject, source.Subject)
	case in.Variables == nil:
		return withText(Rendered{source.Subject, source.HTML, source.Text})
	}
	if in.Shared != "" {
		key = in.Shared
	}
	rendered, err := e.Render(ctx, key, source, in.Variables)
	if err != nil {
		return rendered, err
	}
	return e.finished(rendered, source)
}

// finished is what was rendered with a text and its CSS inlined.
func (e *Engine) finished(r Rendered, source Source) (Rendered, error) {
	r, err := withText(r)
	if err == nil && source.InlineCSS && hasStyle(r.HTML) {
		r.HTML = e.inlined(r.HTML)
	}
	return r, err
}

// underSubject renders a template under an email's own subject. The two are compiled apart, so
// that a subject which is new with each email does not have the whole template compiled anew.
func (e *Engine) underSubject(ctx context.Context, in Email) (Rendered, error) {
	own, err := e.ownSubject(ctx, in)
	if err != nil {
		return own, err
	}
	source := *in.Pinned
	source.Subject = ""
	rendered, err := e.Render(ctx, keyOf(in.Key, "without its subject"), source, in.Variables)
	if err != nil {
		return rendered, err
	}
	rendered.Subject = own.Subject
	return e.finished(rendered, source)
}

// ownSubject fills in an email's own subject, which may call the template's partials.
func (e *Engine) ownSubject(ctx context.Context, in Email) (Rendered, error) {
	if !strings.Contains(in.Own.Subject, "{{") {
		return Rendered{Subject: oneLine(in.Own.Subject)}, nil
	}
	sum := sha256.Sum256([]byte(in.Own.Subject))
	source := Source{Subject: in.Own.Subject, Partials: in.Pinned.Partials}
	return e.Render(ctx, keyOf(in.Key, hex.EncodeToString(sum[:])), source, in.Variables)
}

// keyOf is the key of a part of what has a key.
func keyOf(key, part string) string {
	if key == "" {
		return ""
	}
	return key + " " + part
}

// inlined inlines the CSS, unless that would make the HTML larger than it may be.
func (e *Engine) inlined(html string) string {
	if inlined := inlineCSS(html); len(inlined) <= e.limits.MaxOutput {
		return inlined
	}
	return html
}

func withText(r Rendered) (Rendered, error) {
	if r.Text != "" || r.HTML == "" {
		return r, nil
	}
	text, err := TextFromHTML(r.HTML)
	if err != nil {
		return r, fmt.Errorf("derive text: %w", err)
	}
	r.Text = text
	return r, nil
}
