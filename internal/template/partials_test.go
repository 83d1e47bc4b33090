//go:build !race

package template_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

// library are partials as people write them, by name.
var library = template.Partials{
	"footer":  {HTML: "<p>{{company}} & {{> links}}</p>", Text: "{{company}}"},
	"links":   {HTML: `<a href="{{home}}">home</a>`},
	"page":    {HTML: "<body>{{> @partial-block}}<hr>{{> footer}}</body>"},
	"cards":   {HTML: "{{#each items}}<b>{{> @partial-block}}</b>{{/each}}"},
	"maybe":   {HTML: "{{#if show}}{{> @partial-block}}{{/if}}"},
	"default": {HTML: "[{{#> @partial-block}}nothing{{/@partial-block}}]"},
	"person":  {HTML: "{{name}} of {{city}};"},
	"ping":    {HTML: "{{> pong}}"},
	"pong":    {HTML: "{{#if x}}{{> ping}}{{/if}}"},
	"broken":  {HTML: "a\n{{#if x}}"},
}

func TestPartials_Render(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	const vars = `{"company": "A<B", "home": "https://a.example", "items": [{"n": 1}, {"n": 2}], "show": false,
		"user": {"name": "Ann", "city": "Rome"}, "name": "Bob", "city": "Oslo", "title": "T"}`
	for _, test := range []struct{ source, want string }{
		{"{{> links}}", `<a href="https://a.example">home</a>`},
		{"x {{> footer}}", `x <p>A&lt;B & <a href="https://a.example">home</a></p>`},
		{"{{#> page}}{{title}}{{/page}}", `<body>T<hr><p>A&lt;B & <a href="https://a.example">home</a></p></body>`},
		{"{{#> cards}}{{n}}{{/cards}}", "<b>1</b><b>2</b>"},
		{"{{#> maybe}}{{n}}{{/maybe}}", ""},
		{"{{> default}}{{#> default}}x{{/default}}", "[nothing][x]"},
		{"{{> person}}{{> person user}}{{> person name='Eve'}}", "Bob of Oslo;Ann of Rome;Eve of Oslo;"},
		{"{{#each items}}{{> person ../user}}{{/each}}", "Ann of Rome;Ann of Rome;"},
		{"{{#> maybe show=1}}{{#> cards}}{{n}}{{../title}}{{/cards}}{{/maybe}}", "<b>1T</b><b>2T</b>"},
		{"<ul>\n  {{> links}}\n</ul>", "<ul>\n  <a href=\"https://a.example\">home</a></ul>"},
	} {
		for range 2 { // the second comes from what is kept
			out, err := engine.Render(t.Context(), test.source, template.Source{HTML: test.source, Partials: library}, json.RawMessage(vars))
			require.NoError(t, err, test.source)
			require.Equal(t, test.want, out.HTML, test.source)
		}
	}
	out, err := engine.Render(t.Context(), "", template.Source{Subject: "{{> footer}}", Text: "{{> footer}}", Partials: library}, json.RawMessage(vars))
	require.NoError(t, err)
	require.Equal(t, template.Rendered{Subject: "A<B", Text: "A<B"}, out, "subject and text take the partial's text")
}

func TestPartials_Variables(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ source, required, optional, partials string }{
		{"{{> footer}}", "company home", "", "footer links"},
		{"{{#if a}}{{> links}}{{/if}}", "", "a home", "links"},
		{"{{> person user}}", "user", "", "person"},
		{"{{> person name=first}}", "city first", "", "person"},
		{"{{#each items}}{{> person}}{{/each}}{{> links}}", "home", "items", "links person"},
		{"{{#> page}}{{title}}{{/page}}", "company home title", "", "footer links page"},
		{"{{#> maybe}}{{title}}{{/maybe}}", "", "show title", "maybe"},
		{"{{#> cards}}{{n}}{{/cards}}", "", "items", "cards"},
		{"{{#> page title='x'}}{{title}}{{/page}}", "company home", "", "footer links page"},
	} {
		got, err := engine.Check(t.Context(), template.Source{HTML: test.source, Partials: library})
		require.NoError(t, err, test.source)
		require.Equal(t, test.required, strings.Join(got.Required, " "), test.source)
		require.Equal(t, test.optional, strings.Join(got.Optional, " "), test.source)
		require.Equal(t, test.partials, strings.Join(got.Partials, " "), test.source)
	}
}

func TestPartials_SaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ source, self, want string }{
		{"a\n {{> gone}}", "", `line 2, column 2: there is no partial "gone"`},
		{"{{> toString}}", "", `line 1, column 1: there is no partial "toString"`},
		{"{{> (lookup . 'x')}}", "", "line 1, column 1: the name of a partial can not be computed"},
		{"{{> @root.x}}", "", `line 1, column 1: "@root.x" is not the name of a partial`},
		{"{{> ../x}}", "", `line 1, column 1: "../x" is not the name of a partial`},
		{"{{> person a b}}", "", "line 1, column 1: a partial takes one context, here are 2"},
		{"{{> @partial-block}}", "", "line 1, column 1: {{> @partial-block}} has a meaning in a partial only"},
		{"{{#> page}}{{> @partial-block}}{{/page}}", "", "line 1, column 12: {{> @partial-block}} has a meaning in a partial only"},
		{"{{> page}}", "", `line 1, column 1: "page" prints a block, call it as {{#> page}} … {{/page}}`},
		{"\n{{> ping}}", "", "line 2, column 1: partials can not call each other in a circle: ping > pong > ping"},
		{"{{> me}}", "me", "line 1, column 1: partials can not call each other in a circle: me > me"},
		{"{{> pong}}", "ping", "line 1, column 1: partials can not call each other in a circle: ping > pong > ping"},
		{"{{> broken}}", "", `line 1, column 1: in the partial "broken", line 2, column 1: {{#if}} is never closed`},
		{"{{#> person}}{{#*inline 'x'}}{{/inline}}{{/person}}", "", "line 1, column 14: inline partials and decorators ({{#* …}}) are not supported"},
	} {
		_, err := engine.Check(t.Context(), template.Source{HTML: test.source, Partials: library, Self: test.self})
		f := requireFault(t, err, fault.Invalid, "invalid_template")
		require.Equal(t, test.want, f.Fields[0].Message, test.source)
	}
	_, err := engine.Check(t.Context(), template.Source{Text: "{{> links}}", Partials: library})
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Equal(t, `line 1, column 1: the partial "links" has nothing for this part`, f.Fields[0].Message)
}

// A layout may say where the block goes; its own variables are found as a template's.
func TestPartials_OfAPartial(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	src := template.Source{HTML: "{{title}}{{> @partial-block}}{{> links}}", Self: "page", Partials: library}
	got, err := engine.Check(t.Context(), src)
	require.NoError(t, err)
	require.Equal(t, []string{"home", "title"}, got.Required)
	require.Equal(t, []string{"links"}, got.Partials)
}

// Partials that call each other twice make 2^n calls; compiling does not, and rendering is stopped.
func TestPartials_Fan(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, strict)
	fan := template.Partials{"p14": {HTML: strings.Repeat("x", 1000)}}
	for i := range 14 {
		fan[fmt.Sprintf("p%d", i)] = template.Partial{HTML: strings.Repeat(fmt.Sprintf("{{> p%d}}", i+1), 8)}
	}
	src := template.Source{HTML: "{{> p0}}", Partials: fan}
	patiently := newEngine(t, patient)
	_, err := patiently.Check(t.Context(), src)
	require.NoError(t, err)
	_, err = engine.Render(t.Context(), "", src, nil)
	requireFault(t, err, fault.Invalid, "render_limit_exceeded")
	alive(t, engine)

	deep := template.Partials{"p20": {HTML: "x"}}
	for i := range 20 {
		deep[fmt.Sprintf("p%d", i)] = template.Partial{HTML: fmt.Sprintf("{{> p%d}}", i+1)}
	}
	_, err = patiently.Check(t.Context(), template.Source{HTML: "{{> p0}}", Partials: deep})
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Contains(t, f.Fields[0].Message, "deeper than 16 levels")
}
