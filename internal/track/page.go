package track

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/html"
)

// maxURL is how long an address may be that is put into a token.
const maxURL = 2048

// Options say which links of a page are let alone, beside those that say so themselves.
type Options struct {
	Clicks bool     // false: no link is changed
	Base   string   // where tracked links are; what is there already is not tracked again
	Keep   []string // such as those that end a subscription
}

// Page is the HTML of an email, read once, to be written for each of its recipients.
type Page struct {
	source string
	cuts   []cut
	links  int
	end    int // where the picture goes: the end of the body, or of everything
}

// cut is a stretch of the source that is replaced: by a link, or by nothing.
type cut struct {
	from, to int
	link     int // -1: by nothing
	url      string
}

// Read finds the links of a page. Everything else of it, whatever it is, is written as it
// is, byte for byte: comments, also conditional ones, are not looked into.
func Read(source string, o Options) Page {
	p := Page{source: source, end: len(source)}
	z := html.NewTokenizer(strings.NewReader(source))
	for at := 0; ; {
		kind := z.Next()
		from := at
		at += len(z.Raw())
		switch kind {
		case html.ErrorToken:
			if p.end == len(source) {
				p.end = from // before a tag that has no end, which would take the picture in
			}
			return p
		case html.StartTagToken, html.SelfClosingTagToken:
			if name, more := z.TagName(); more && (string(name) == "a" || string(name) == "area") {
				p.tag(z, from, at, o)
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "body" {
				p.end = from
			}
		case html.TextToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// tag looks at a link.
func (p *Page) tag(z *html.Tokenizer, from, to int, o Options) {
	spans := attributes(p.source[from:to])
	l, ok := readLink(z, spans)
	switch {
	case !ok:
	case l.off >= 0:
		p.cuts = append(p.cuts, cut{from: from + spans[l.off].from, to: from + spans[l.off].to, link: -1})
	case o.Clicks && !l.unsubscribes && l.href >= 0 && p.links <= maxLink:
		if url, ok := target(l.url, o); ok {
			p.cuts = append(p.cuts, cut{from: from + spans[l.href].value, to: from + spans[l.href].valueEnd, link: p.links, url: url})
			p.links++
		}
	}
}

// link is what the tag of a link says; href and off are numbers of attributes, or -1.
type link struct {
	href, off    int
	url          string
	unsubscribes bool
}

// readLink reads a tag. Where its attributes are was found by another reader: unless both
// agree on them, the tag stays as it is.
func readLink(z *html.Tokenizer, spans []span) (l link, ok bool) {
	l = link{href: -1, off: -1}
	for i := 0; ; i++ {
		key, value, more := z.TagAttr()
		if len(key) > 0 && (i >= len(spans) || !strings.EqualFold(spans[i].name, string(key))) {
			return l, false
		}
		switch string(key) {
		case "href":
			if l.href < 0 { // a second one means nothing
				l.href, l.url = i, string(value)
			}
		case "data-track":
			if l.off < 0 && strings.EqualFold(strings.TrimSpace(string(value)), "off") {
				l.off = i
			}
		case "data-unsubscribe":
			l.unsubscribes = true
		}
		if !more {
			return l, true
		}
	}
}

// target is where a link leads, as a browser reads it: without white space around it, and
// without tabs and line breaks in it. ok: it is one to be tracked.
func target(href string, o Options) (url string, ok bool) {
	url = strings.TrimFunc(href, func(r rune) bool { return r <= ' ' })
	url = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(url)
	scheme, rest, _ := strings.Cut(url, "://")
	ok = (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) &&
		rest != "" && !strings.ContainsRune(`/\?#`, rune(rest[0])) && len(url) <= maxURL && utf8.ValidString(url) &&
		!strings.ContainsFunc(url, func(r rune) bool { return r < ' ' || r == 0x7f }) &&
		!slices.Contains(o.Keep, url) && !strings.HasPrefix(url, o.Base+clickPath)
	return url, ok
}

// Write is the page for one recipient: link makes the address that stands in for each link;
// open is the address of the picture, empty for none. A picture that is there already is
// not put there again.
func (p Page) Write(link func(index int, url string) string, open string) string {
	var b strings.Builder
	b.Grow(len(p.source) + 250*(p.links+1))
	at, end := 0, p.end
	if open == "" || strings.Contains(p.source, open) {
		end = -1
	}
	text := func(to int) {
		if at <= end && end <= to {
			b.WriteString(p.source[at:end])
			b.WriteString(picture(open))
			at, end = end, -1
		}
		b.WriteString(p.source[at:to])
		at = to
	}
	for _, c := range p.cuts {
		text(c.from)
		if c.link >= 0 {
			b.WriteString(link(c.link, c.url))
		}
		at = c.to
	}
	text(len(p.source))
	return b.String()
}

func picture(url string) string {
	return `<img src="` + url + `" alt="" width="1" height="1" border="0" style="width:1px;height:1px;border:0">`
}

// Personal is the page for one recipient, as chosen.
func (p Page) Personal(s Signer, c Choice, recipient uuid.UUID) string {
	open := ""
	if c.Opens {
		open = c.Base + openPath + s.Open(recipient) + ".gif"
	}
	return p.Write(func(index int, url string) string { return c.Base + clickPath + s.Click(recipient, index, url) }, open)
}
