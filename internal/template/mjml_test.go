//go:build !race

package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

const mjmlOrder = `<mjml>
  <mj-head><mj-title>{{title}}</mj-title><mj-style>.x { color: red }</mj-style></mj-head>
  <mj-body background-color="{{color}}">
    {{#each items}}
    <mj-section>
      {{#if this.wide}}<mj-column><mj-text font-size="20px">{{title}} &amp; {{{raw}}}</mj-text></mj-column>{{/if}}
      <mj-column><mj-button href="{{../url}}?a=1&b={{@index}}">Go</mj-button></mj-column>
    </mj-section>
    {{/each}}
    <mj-section><mj-column>
      <mj-table>{{#each items}}<tr><td>{{title}}</td></tr>{{/each}}</mj-table>
      <mj-text>{{> footer}}</mj-text>
    </mj-column></mj-section>
  </mj-body>
</mjml>`

func TestCompileMJML_HandlebarsSurvives(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	html, err := engine.CompileMJML(t.Context(), mjmlOrder)
	require.NoError(t, err)
	src := template.Source{HTML: html, Partials: template.Partials{"footer": {HTML: "<i>{{company}}</i>"}}}
	vars := `{"title": "T", "color": "#fff", "url": "https://a.example/", "company": "Acme",
		"items": [{"title": "A<", "wide": true, "raw": "<b>r</b>"}, {"title": "B"}]}`
	out, err := engine.Render(t.Context(), "", src, json.RawMessage(vars))
	require.NoError(t, err)
	for text, times := range map[string]int{
		"Go": 2, `href="https://a.example/?a=1&b=1"`: 1, "A&lt; &amp; <b>r</b>": 1, "<tr><td>B</td></tr>": 1, "<i>Acme</i>": 1,
		"<title>T</title>": 1, "background-color:#fff": 2, "{{": 0, "<mj-": 0,
	} {
		require.Equal(t, times, strings.Count(out.HTML, text), "%s in %s", text, out.HTML)
	}
}

func TestCompileMJML_SaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	body := func(inner string) string { return "<mjml><mj-body>\n" + inner + "</mj-body></mjml>" }
	for source, want := range map[string]string{
		body("<mj-section><mj-column>\n<mj-foo>x</mj-foo></mj-column></mj-section>"): "line 3: <mj-foo>: Element mj-foo doesn't exist or is not registered",
		body("<mj-text>x</mj-text>"):                         "line 2: <mj-text>: mj-text cannot be used inside mj-body, only inside: mj-attributes, mj-column, mj-hero",
		body("<mj-section foo='1'></mj-section>"):            "line 2: <mj-section>: Attribute foo is illegal",
		body("<mj-section padding='wide'></mj-section>"):     "line 2: <mj-section>: Attribute padding has invalid value: wide for type Unit, only accepts (px, %) units and 1 to 4 value(s)",
		body("<mj-section>\n {{#if x}}</mj-section>"):        "line 3, column 2: {{#if}} is never closed",
		body("<mj-include path='/etc/passwd' />"):            "line 2, column 1: <mj-include> has no files to include; call a partial, {{> name}}",
		"<mjml>\n{{#if x}}<mj-body></mj-body>{{/if}}</mjml>": "line 1, column 7: Handlebars can not stand between the elements of <mjml>",
		"<p>x</p>": "Malformed MJML. Check that your structure is correct and enclosed in <mjml> tags.",
		"x":        "Parsing failed. Check your mjml.",
		body("<mj-section>\n<mj-column></mj-section>"): "line 3, column 12: </mj-section> stands where <mj-column> is open",
		"<mjml>\n <mj-body>":                           "line 2, column 2: <mj-body> is never closed",
		"<mjml></mjml></mjml>":                         "line 1, column 14: </mjml> closes nothing",
		"<mjml>" + strings.Repeat("x", 600_000):        "it is 600006 bytes long, at most 524288 are allowed",
	} {
		_, err := engine.CompileMJML(t.Context(), source)
		require.Error(t, err, source)
		f := requireFault(t, err, fault.Invalid, "invalid_template")
		require.Equal(t, "body.mjml", f.Fields[0].Location)
		require.Equal(t, want, f.Fields[0].Message)
		require.Equal(t, "mjml", template.Problems(err)[0].Part)
	}
}

func TestCompileMJML_Hostile(t *testing.T) {
	t.Parallel()
	engine, patiently := newEngine(t, strict), newEngine(t, patient)
	for name, source := range map[string]string{
		"deep":     "<mjml><mj-body>" + strings.Repeat("<mj-section>", 10_000) + strings.Repeat("</mj-section>", 10_000) + "</mj-body></mjml>",
		"sections": "<mjml><mj-body>" + strings.Repeat("<mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section>", 7_000) + "</mj-body></mjml>",
	} {
		_, err := engine.CompileMJML(t.Context(), source)
		requireFault(t, err, fault.Invalid, "invalid_template")
		html, err := patiently.CompileMJML(t.Context(), "<mjml><mj-body></mj-body></mjml>")
		require.NoError(t, err, name)
		require.Contains(t, html, "<body")
	}
}
