package template

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const styledRow = `<tr class="row"><td class="cell first">%d</td><td class="cell"><a class="link" href="https://shop.example/%d?a=1&amp;b=2">Item</a></td></tr>`

// styled is a mail of 20 rows with CSS of its own.
func styled() string {
	var rows strings.Builder
	for i := range 20 {
		fmt.Fprintf(&rows, styledRow, i, i)
	}
	return `<!doctype html><html><head><title>x</title><style>
body { font-family: sans-serif; margin: 0 } h1 { color: #333 } .row td { padding: 4px } .cell { border: 1px solid #ccc }
.first { font-weight: bold } a.link { color: #06c } a.link:hover { color: red } table { width: 100% }
@media (max-width: 600px) { .cell { display: block } }
</style></head><body><!--[if mso]><p>Outlook</p><![endif]--><h1>Order</h1><table>` + rows.String() + `</table></body></html>`
}

func TestInlineCSS(t *testing.T) {
	t.Parallel()
	got := inlineCSS(styled())
	for _, want := range []string{
		`<h1 style="color:#333">Order</h1>`, `style="border:1px solid #ccc;font-weight:bold;padding:4px"`, `<!doctype html>`,
		`<a class="link" href="https://shop.example/0?a=1&amp;b=2" style="color:#06c">Item</a>`, "@media (max-width: 600px)", ":hover",
		"<!--[if mso]><p>Outlook</p><![endif]-->", `<body style="font-family:sans-serif;margin:0">`,
	} {
		require.Contains(t, strings.Replace(got, "<!DOCTYPE", "<!doctype", 1), want)
	}
}

func TestHasStyle(t *testing.T) {
	t.Parallel()
	for html, want := range map[string]bool{
		"": false, "<": false, "<p>style</p>": false, "<p style='x'>": false, "<style>": true, "a<b><STYLE type=x>": true, "<styl": false,
	} {
		require.Equal(t, want, hasStyle(html), html)
	}
}

// What would take for ever, or make gigabytes, stays as it is.
func TestInlineCSS_Hostile(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("<div>", 400) + "x" + strings.Repeat("</div>", 400)
	wide := strings.Repeat("<p>x</p>", 20_000)
	for name, html := range map[string]string{
		"combinators":  "<style>" + strings.Repeat("div ", 10) + "b{color:red}</style>" + deep,
		"siblings":     "<style>p ~ p ~ p ~ b{color:red}</style>" + wide,
		"pseudos":      "<style>p:nth-child(2n):nth-last-child(3n){color:red}</style>" + wide,
		"has":          "<style>div:has(div:has(div:has(b))){color:red}</style>" + deep,
		"many rules":   "<style>" + strings.Repeat("p{a:b}", 5_000) + "</style>" + wide,
		"large rule":   "<style>p{" + strings.Repeat("a:b;", 20_000) + "}</style>" + wide,
		"calls":        "<style>" + strings.Repeat("url(", 10_000) + "</style>x",
		"large style":  "<style>" + strings.Repeat("p{a:b}", 50_000) + "</style>x",
		"large output": "<style>p{a:" + strings.Repeat("x", 60_000) + "}</style>" + strings.Repeat("<p>x</p>", 1000),
	} {
		require.Equal(t, html, inlineCSS(html), name)
	}
}

func BenchmarkInlineCSS(b *testing.B) {
	html := styled()
	for b.Loop() {
		inlineCSS(html)
	}
}

func BenchmarkHasStyle(b *testing.B) {
	html := strings.ReplaceAll(styled(), "<style>", "<p>")
	for b.Loop() {
		hasStyle(html)
	}
}

// Whatever is in a style element, inlining ends and gives HTML.
func FuzzInlineCSS(f *testing.F) {
	for _, seed := range []string{"p{color:red}", "@media x{p{a:b}}", "p,{{}", "*{a:b}", "a:hover b>c{a:b!important}", "@import url(x);", "/*", "p{a:\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, css string) {
		html := "<style>" + css + "</style><div><p>x</p><p>y</p></div>"
		got := inlineCSS(html)
		require.True(t, got == html || strings.Contains(got, "<body>") || strings.Contains(got, "<body "))
	})
}
