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

// tag looks at a link. Where its attributes are is found again in the source; if that does
// not agree with the tokenizer, the tag stays as it is.
func (p *Page) tag(z *html.Tokenizer, from, to int, o Options) {
	spans := attributes(p.source[from:to])
	href, off, mine := -1, -1, o.Clicks
	var url string
	for i := 0; ; i++ {
		key, value, more := z.TagAttr()
		if len(key) > 0 && (i >= len(spans) || !strings.EqualFold(spans[i].name, string(key))) {
			return
		}
		switch string(key) {
		case "href":
			if href < 0 { // a second one means nothing
				href, url = i, string(value)
			}
		case "data-track":
			if off < 0 && strings.EqualFold(strings.TrimSpace(string(value)), "off") {
				off, mine = i, false
			}
		case "data-unsubscribe":
			mine = false
		}
		if !more {
			break
		}
	}
	if off >= 0 {
		p.cuts = append(p.cuts, cut{from: from + spans[off].from, to: from + spans[off].to, link: -1})
		return
	}
	if !mine || href < 0 || p.links > maxLink {
		return
	}
	if url, ok := target(url, o); ok {
		p.cuts = append(p.cuts, cut{from: from + spans[href].value, to: from + spans[href].valueEnd, link: p.links, url: url})
		p.links++
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
