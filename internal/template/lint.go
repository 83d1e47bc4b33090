package template

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	markup "golang.org/x/net/html"
)

// Severities of findings: an email is broken, it may be, it is good to know.
const (
	Fails = "error"
	Warns = "warning"
	Notes = "info"
)

// Finding is something that is wrong with a template, or may be.
type Finding struct {
	Severity string
	Code     string
	Message  string
	Part     string // "subject", "html", "text", "mjml" or "variables"; empty: the template as a whole
	Line     int    // from 1; 0: it is not known
	Column   int
}

// LintMarkup looks at the links and images of HTML or MJML. What Handlebars fills in is
// not known here, and is taken to be right.
func LintMarkup(part, source string) []Finding {
	l := linter{part: part, line: 1, column: 1}
	tokens := markup.NewTokenizer(strings.NewReader(maskHandlebars(source)))
	for {
		kind := tokens.Next()
		if kind == markup.ErrorToken {
			return l.findings
		}
		raw := string(tokens.Raw()) // before the tokenizer writes into it
		if kind == markup.StartTagToken || kind == markup.SelfClosingTagToken {
			l.tag(tokens.Token())
		}
		l.pass(raw)
	}
}

var handlebarsTag = regexp.MustCompile(`(?s)\{\{\{?\{?.*?\}\}\}?\}?`)

// maskHandlebars takes from tags what would end an attribute or open an element, and moves nothing.
func maskHandlebars(source string) string {
	return handlebarsTag.ReplaceAllStringFunc(source, func(tag string) string {
		inside := strings.Map(func(r rune) rune {
			if strings.ContainsRune(`"'<>=&`, r) {
				return '_'
			}
			return r
		}, tag)
		return inside
	})
}

type linter struct {
	part         string
	line, column int
	findings     []Finding
}

func (l *linter) pass(raw string) {
	if n := strings.Count(raw, "\n"); n > 0 {
		l.line += n
		l.column = len([]rune(raw[strings.LastIndexByte(raw, '\n'):]))
		return
	}
	l.column += len([]rune(raw))
}

func (l *linter) add(f Finding) {
	f.Part, f.Line, f.Column = l.part, l.line, l.column
	l.findings = append(l.findings, f)
}

var (
	linking = []string{"a", "area", "mj-button", "mj-image", "mj-navbar-link", "mj-social-element", "mj-hero"}
	imaging = []string{"img", "mj-image"}
)

func (l *linter) tag(t markup.Token) {
	attributes := map[string]string{}
	for _, a := range t.Attr {
		attributes[a.Key] = a.Val
	}
	if href, ok := attributes["href"]; ok && slices.Contains(linking, t.Data) {
		l.link(t.Data, "href", href)
	}
	if !slices.Contains(imaging, t.Data) {
		return
	}
	l.link(t.Data, "src", attributes["src"])
	if _, ok := attributes["alt"]; !ok {
		l.add(Finding{Severity: Warns, Code: "missing_alt", Message: fmt.Sprintf(
			"<%s> has no alt: where images are not shown, nothing is; alt=\"\" is for decoration", t.Data)})
	}
}

// link looks at the address of a link or an image.
func (l *linter) link(element, attribute, address string) {
	at := fmt.Sprintf("%s of <%s>", attribute, element)
	address = strings.TrimSpace(address)
	scheme, _, hasScheme := strings.Cut(address, ":")
	switch {
	case address == "", address == "#":
		l.add(Finding{Severity: Warns, Code: "empty_link", Message: at + " leads nowhere"})
	case strings.HasPrefix(address, "{{"), strings.HasPrefix(address, "#"):
	case hasScheme && slices.Contains([]string{"javascript", "vbscript", "data"}, strings.ToLower(cleanScheme(scheme))):
		if attribute == "src" && strings.HasPrefix(strings.ToLower(address), "data:image/") {
			l.add(Finding{Severity: Warns, Code: "data_image", Message: at + " has the image in itself, which Gmail and Outlook do not show"})
			return
		}
		l.add(Finding{Severity: Fails, Code: "unsafe_link", Message: at + " is a program or data, which mail programs take away"})
	case !hasScheme || strings.ContainsAny(scheme, "/?#."):
		l.add(Finding{Severity: Fails, Code: "relative_link", Message: fmt.Sprintf(
			"%s, %q, is relative, and a mail has no address", at, address)})
	case !validURL(address):
		l.add(Finding{Severity: Fails, Code: "malformed_link", Message: fmt.Sprintf("%s, %q, is not an address", at, address)})
	}
}

// cleanScheme drops what browsers do not see.
func cleanScheme(scheme string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, scheme)
}

func validURL(address string) bool {
	address = handlebarsTag.ReplaceAllString(address, "x")
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	isWeb := u.Scheme == "http" || u.Scheme == "https"
	return !isWeb || (u.Host != "" && !strings.Contains(address, " "))
}

// GmailClips is how many bytes of HTML Gmail shows.
const GmailClips = 102 << 10

// LintRendered looks at an email of the template. Bulk mail must have a way to
// unsubscribe.
func (e *Engine) LintRendered(src Source, out Rendered, bulk bool) (findings []Finding) {
	if n := len(out.HTML); n > GmailClips {
		findings = append(findings, Finding{Severity: Warns, Code: "too_large", Part: "html", Message: fmt.Sprintf(
			"the HTML has %d bytes with these variables; Gmail cuts off what is above %d", n, GmailClips)})
	}
	if src.InlineCSS && hasStyle(out.HTML) && e.inlined(out.HTML) == out.HTML {
		findings = append(findings, Finding{
			Severity: Warns, Code: "css_not_inlined", Part: "html",
			Message: "its CSS is too much to be inlined; it is sent in style elements",
		})
	}
	said := strings.ToLower(out.HTML + out.Text)
	if bulk && !strings.Contains(said, "unsubscribe") {
		findings = append(findings, Finding{
			Severity: Warns, Code: "missing_unsubscribe",
			Message: "bulk mail needs a way to unsubscribe, and neither a text nor a link says so",
		})
	}
	return findings
}
