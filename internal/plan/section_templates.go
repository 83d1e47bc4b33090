package plan

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/template"
)

// Template is a template of a tenant. Its content stands in the file, or in files beside it.
type Template struct {
	Name      string         `json:"name" doc:"How emails name it" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$" example:"welcome"`
	Subject   string         `json:"subject,omitempty" doc:"Handlebars; one line" maxLength:"2000"`
	HTML      string         `json:"html,omitempty" doc:"Handlebars; at most 512 kB" maxLength:"524288"`
	HTMLFile  string         `json:"htmlFile,omitempty" doc:"A file with the html, relative to this one and in its folder or below" example:"templates/welcome.html"`
	Text      string         `json:"text,omitempty" doc:"Handlebars; at most 512 kB; derived from html when it is absent" maxLength:"524288"`
	TextFile  string         `json:"textFile,omitempty" doc:"A file with the text, relative to this one and in its folder or below" example:"templates/welcome.txt"`
	Variables map[string]any `json:"variables,omitempty" doc:"JSON Schema (2020-12) of the variables"`
}

// TemplateContent is what of a template is compared.
type TemplateContent struct {
	Subject   string         `json:"subject,omitempty"`
	HTML      string         `json:"html,omitempty"`
	Text      string         `json:"text,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`
}

// FromTemplate is a template as the installation has it.
func FromTemplate(tenantID, name string, c TemplateContent) Resource {
	return Resource{Kind: KindTemplate, TenantID: tenantID, Name: name, Fields: fieldsOf(c)}
}

var templateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func templatesSection() section {
	return section{
		kind: KindTemplate, label: "template", key: "templates", fields: []string{"subject", "html", "text", "variables"},
		has: func(e Entry) bool { return e.Templates != nil },
		read: func(r *reader, tenantID string, e Entry, at string) []Resource {
			return r.templates(tenantID, e.Templates, at)
		},
	}
}

func (p *reader) templates(tenantID string, entries []Template, at string) []Resource {
	out := make([]Resource, len(entries))
	for i, e := range entries {
		here := fmt.Sprintf("%s[%d]", at, i)
		c := TemplateContent{Subject: e.Subject, HTML: e.HTML, Text: e.Text, Variables: e.Variables}
		if e.HTMLFile != "" {
			c.HTML = p.fileFor(here, "html", e.HTML, e.HTMLFile)
		}
		if e.TextFile != "" {
			c.Text = p.fileFor(here, "text", e.Text, e.TextFile)
		}
		p.checkTemplate(tenantID, e, here)
		out[i] = FromTemplate(tenantID, e.Name, c)
		out[i].References = p.referencesBelow(here)
	}
	return out
}

func (p *reader) checkTemplate(tenantID string, e Template, at string) {
	switch {
	case p.blamed(at) || p.blamed(at+".name"):
	case !templateName.MatchString(e.Name):
		p.problem(at+".name", "a template has a name of 1 to 100 letters, digits, dots, underscores and hyphens, "+
			"which starts with a letter or digit")
	default:
		p.once(at+".name", "template", tenantID+"/"+e.Name)
	}
	if e.HTML == "" && e.Text == "" && e.HTMLFile == "" && e.TextFile == "" && !p.blamedBelow(at) {
		p.problem(at, "a template has html, text, htmlFile or textFile")
	}
	for name, text := range map[string]string{"html": e.HTML, "text": e.Text} {
		if len(text) > maxContent {
			p.problem(at+"."+name, "is larger than 512 kB")
		}
	}
	if utf8.RuneCountInString(e.Subject) > 2000 {
		p.problem(at+".subject", "has more than 2000 characters")
	}
}

const maxContent = template.MaxSource

// fileFor reads the file that has a content.
func (p *reader) fileFor(at, field, inline, name string) string {
	place := at + "." + field + "File"
	if inline != "" {
		p.problem(place, "a template has either "+field+" or "+field+"File")
		return ""
	}
	text, problem := p.readFile(name)
	if problem != "" {
		p.problem(place, problem)
	}
	return text
}

// readFile reads a file below the folder; the file system sees to it that no link leads out.
func (p *reader) readFile(name string) (text, problem string) {
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return "", "must be a relative path that stays in the folder of the configuration file"
	}
	if p.src.Files == nil {
		return "", "there is no folder to read it from"
	}
	f, err := p.src.Files.Open(name)
	if err != nil {
		return "", "can not be read: " + cause(err)
	}
	defer f.Close() //nolint:errcheck // was only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", "is not a regular file"
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxContent+1))
	switch {
	case err != nil:
		return "", "can not be read: " + cause(err)
	case len(raw) > maxContent:
		return "", "the file is larger than 512 kB"
	case !utf8.Valid(raw):
		return "", "the file is not UTF-8"
	case len(raw) == 0:
		return "", "the file is empty"
	}
	return string(raw), ""
}
