package template

import (
	"context"
	"fmt"
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
		if in.Own.Subject != "" {
			source.Subject, key = in.Own.Subject, ""
		}
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
	if rendered, err = withText(rendered); err == nil && source.InlineCSS && hasStyle(rendered.HTML) {
		rendered.HTML = e.inlined(rendered.HTML)
	}
	return rendered, err
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
