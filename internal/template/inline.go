package template

import (
	"strings"

	"github.com/PuerkitoBio/goquery"
	"github.com/vanng822/go-premailer/premailer"
	markup "golang.org/x/net/html"
)

// What is more work than this is sent as it is, with its style elements. A mail of 300
// elements and 20 kB of CSS is a tenth of it.
const (
	maxInlineCSS    = 64 << 10 // bytes of CSS
	maxInlineCalls  = 4 << 20  // bytes of CSS times opening brackets: at each url( its parser looks at all that follows
	maxInlineOutput = 32 << 20 // bytes of CSS times elements: what inlining could print at the most
	maxInlineSteps  = 10 << 20 // elements that selectors look at
)

// hasStyle tells whether there is anything to inline; it is asked for each mail.
func hasStyle(html string) bool {
	for at := strings.IndexByte(html, '<'); at >= 0; {
		html = html[at+1:]
		if len(html) > 5 && strings.EqualFold(html[:5], "style") {
			return true
		}
		at = strings.IndexByte(html, '<')
	}
	return false
}

// inlineCSS moves the rules of style elements into style attributes of the elements that
// they are about. What can not be moved (media queries, :hover) stays in a style element.
// HTML that is too much work, or can not be read, is as it was.
func inlineCSS(html string) string {
	document, err := goquery.NewDocumentFromReader(strings.NewReader(html))
	if err != nil || !worthInlining(document) {
		return html
	}
	inlined, err := premailer.NewPremailer(document, premailer.NewOptions()).Transform()
	if err != nil {
		return html
	}
	return inlined
}

// worthInlining tells whether the work is bounded.
func worthInlining(document *goquery.Document) bool {
	var css strings.Builder
	document.Find("style").Each(func(_ int, s *goquery.Selection) { css.WriteString(s.Text()) })
	size := measure(document.Nodes[0], 0)
	calls := strings.Count(css.String(), "(")
	if css.Len() > maxInlineCSS || css.Len()*size.elements > maxInlineOutput || css.Len()*calls > maxInlineCalls {
		return false
	}
	steps := 0
	for rule := range strings.SplitSeq(css.String(), "{") {
		for selector := range strings.SplitSeq(rule[strings.LastIndexByte(rule, '}')+1:], ",") {
			if steps += size.steps(selector); steps > maxInlineSteps {
				return false
			}
		}
	}
	return true
}

// extent is how large a tree is.
type extent struct{ elements, depth, width int }

// measure walks a tree, which the parser keeps below 512 levels.
func measure(n *markup.Node, depth int) extent {
	all, children := extent{depth: depth}, 0
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != markup.ElementNode {
			continue
		}
		children++
		below := measure(c, depth+1)
		all.elements += 1 + below.elements
		all.depth, all.width = max(all.depth, below.depth), max(all.width, below.width)
	}
	all.width = max(all.width, children)
	return all
}

// steps is how many elements a selector looks at in the worst case: all, and again for each
// of its combinators their ancestors or siblings.
func (e extent) steps(selector string) int {
	steps := e.elements
	times := func(n, factor int) {
		for i := 1; i <= n && steps <= maxInlineSteps; i++ {
			steps = steps * max(factor, 1) / i
		}
	}
	direct := strings.Count(selector, ">") + strings.Count(selector, "+")
	times(max(len(strings.Fields(selector))-1-direct, 0), e.depth)
	times(strings.Count(selector, "~")+strings.Count(selector, ":"), max(e.width, e.elements/4))
	return max(steps, e.elements)
}
