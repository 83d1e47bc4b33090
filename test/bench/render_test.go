package bench

import (
	"encoding/json"
	"html/template"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mail "github.com/mailtura/mailtura/internal/template"
)

const (
	rowsHead  = `<!doctype html><html><head>STYLE</head><body><h1>Order {{id}}</h1><table>`
	rowsEach  = `{{#each items}}<tr class="row"><td class="cell">{{@index}}</td><td class="cell">{{title}}</td><td>{{../currency}} {{price}}</td></tr>{{/each}}`
	rowsTail  = `</table></body></html>`
	rowsStyle = `<style>.row td { padding: 4px } .cell { border: 1px solid #ccc } h1 { color: #333 } .cell:hover { color: red }</style>`
	rowsGo    = `{{$c := .currency}}{{range $i, $e := .items}}<tr class="row"><td class="cell">{{$i}}</td><td class="cell">{{.title}}</td><td>{{$c}} {{.price}}</td></tr>{{end}}`
)

// BenchmarkRender measures what it takes to render a mail with a table of 20 rows, compiled
// before, beside Go's html/template with the same mail: plain, with the table in a partial
// of a layout, and with CSS that is inlined.
func BenchmarkRender(b *testing.B) {
	engine, err := mail.NewEngine(mail.Config{VMs: 1})
	require.NoError(b, err)
	defer engine.Close()
	items := make([]map[string]any, 20)
	for i := range items {
		items[i] = map[string]any{"title": "Cup & saucer", "price": "9.00"}
	}
	data := map[string]any{"id": "A-17", "currency": "EUR", "items": items}
	variables, err := json.Marshal(data)
	require.NoError(b, err)

	plain := strings.Replace(rowsHead, "STYLE", "", 1) + rowsEach + rowsTail
	layout := mail.Partials{
		"page": {HTML: strings.Replace(rowsHead, "STYLE", "", 1) + "{{> @partial-block}}" + rowsTail},
		"rows": {HTML: rowsEach},
	}
	styled := strings.Replace(rowsHead, "STYLE", rowsStyle, 1) + rowsEach + rowsTail
	of := func(key string, source mail.Source) func() error {
		source.Text = "see the HTML"
		return func() error {
			_, err := engine.RenderEmail(b.Context(), mail.Email{Key: key, Pinned: &source, Variables: variables})
			return err
		}
	}
	inGo := template.Must(template.New("").Parse(strings.NewReplacer("STYLE", "", "{{id}}", "{{.id}}").Replace(rowsHead) + rowsGo + rowsTail))
	for b.Loop() {
		baseline := microseconds(b, func() error { return inGo.Execute(new(strings.Builder), data) })
		b.ReportMetric(baseline, "µs/html-template")
		for name, render := range map[string]func() error{
			"plain":    of("plain", mail.Source{HTML: plain, InlineCSS: true}),
			"partials": of("partials", mail.Source{HTML: "{{#> page}}{{> rows}}{{/page}}", Partials: layout}),
			"styled":   of("styled", mail.Source{HTML: styled, InlineCSS: true}),
		} {
			took := microseconds(b, render)
			b.ReportMetric(took, "µs/"+name)
			b.ReportMetric(took/baseline, "×html-template/"+name)
		}
	}
}

func microseconds(b *testing.B, f func() error) float64 {
	b.Helper()
	require.NoError(b, f()) // compiles
	const times = 500
	began := time.Now()
	for range times {
		require.NoError(b, f())
	}
	return float64(time.Since(began).Microseconds()) / times
}
