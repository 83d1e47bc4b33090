package template_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func TestTextFromHTML(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ html, want string }{
		{"", ""},
		{"plain", "plain"},
		{"<p>Hello &amp; welcome</p><p>Köln 日本</p>", "Hello & welcome\n\nKöln 日本"},
		{`<p>See <a href="https://a.example/x?y=1&amp;z=2">your order</a>.</p>`, "See your order ( https://a.example/x?y=1&z=2 )."},
		{"<ul><li>one</li><li>two</li></ul>", "* one\n* two"},
		{"<style>p { color: red }</style><script>alert(1)</script><p>text</p>", "text"},
		{"<p>a<br>b</p>", "a\nb"},
		{"<table><tr><td>Cup</td><td>9.00</td></tr></table>", "Cup 9.00"},
		{"<p>unclosed <b>bold", "unclosed *bold*"},
	} {
		got, err := template.TextFromHTML(test.html)
		require.NoError(t, err)
		require.Equal(t, test.want, got, test.html)
	}
}

func TestTextFromHTML_TooDeep(t *testing.T) {
	t.Parallel()
	_, err := template.TextFromHTML(strings.Repeat("<div>", 10_000))
	f := requireFault(t, err, fault.Invalid, "render_failed")
	require.Equal(t, "body.html", f.Fields[0].Location)
}

func TestTextFromHTML_RenderedMail(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	got, err := template.TextFromHTML(renderHTML(t, engine, order.HTML, orderVariables))
	require.NoError(t, err)
	require.Contains(t, got, "Thank you, Ann <b>!")
	require.Contains(t, got, "Pot & lid")
	require.NotContains(t, got, "<td>")
}
