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

func TestHostile_Renders(t *testing.T) {
	t.Parallel()
	ones, empty := list("1", 30_000), list("[]", 20_000)
	long := func(s string) string { return `"` + strings.Repeat(s, 60_000/len(s)) + `"` }
	for _, test := range []struct{ name, source, vars string }{
		{"loops", "{{#each a}}{{#each ../a}}{{#each ../../a}}{{this}}{{/each}}{{/each}}{{/each}}", `{"a": ` + ones + `}`},
		{"loops that print nothing", "{{#each a}}{{#each ../a}}{{#each ../../a}}{{/each}}{{/each}}{{/each}}", `{"a": ` + ones + `}`},
		{"sections", "{{#a}}{{#../a}}{{#../../a}}x{{/../../a}}{{/../a}}{{/a}}", `{"a": ` + ones + `}`},
		{"large output", "{{#each a}}{{{../x}}}{{/each}}", `{"a": ` + ones + `, "x": ` + long("x") + `}`},
		{"output over the limit only", "{{#each a}}{{{../x}}}{{/each}}", `{"a": ` + list("1", 20) + `, "x": ` + long("x") + `}`},
		{"output over the limit in bytes only", "{{#each a}}{{{../x}}}{{/each}}", `{"a": ` + list("1", 20) + `, "x": ` + long("茶") + `}`},
		{"escaping", "{{#each a}}{{../x}}{{/each}}", `{"a": ` + ones + `, "x": ` + long("<") + `}`},
		{"lists printed in a loop", "{{#each a}}{{{../a}}}{{/each}}", `{"a": ` + ones + `}`},
		{"lists of nothing printed in a loop", "{{#each a}}{{{../a}}}{{/each}}", `{"a": ` + empty + `}`},
		{"lists as keys", "{{#each a}}{{#if (lookup .. ../a)}}{{/if}}{{/each}}", `{"a": ` + empty + `}`},
		{"deep list", "{{a}}", `{"a": ` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`},
		{"deep list printed", "{{a}}", `{"a": ` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`},
		{"deep object", "{{a}}", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t, strict)
			for range 2 {
				_, err := engine.Render(t.Context(), "k", template.Source{HTML: test.source}, json.RawMessage(test.vars))
				f := requireFault(t, err, fault.Invalid, "render_limit_exceeded")
				require.NotEmpty(t, f.Detail)
				alive(t, engine)
			}
		})
	}
}

// No way to anything but the variables: each of these prints nothing.
func TestHostile_NoWayOut(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, source := range []string{
		"{{constructor}}", "{{constructor.constructor}}", "{{this.constructor.constructor}}", "{{__proto__}}",
		"{{__proto__.constructor}}", `{{lookup this "constructor"}}`, `{{lookup (lookup this "constructor") "constructor"}}`,
		`{{lookup this "__proto__"}}`, "{{toString}}", "{{hasOwnProperty}}", "{{__defineGetter__}}", "{{__lookupGetter__}}",
		"{{valueOf}}", "{{s.constructor}}", "{{s.replace}}", "{{xs.map}}", "{{xs.constructor.constructor}}", "{{n.toFixed}}",
		`{{#with constructor}}x{{/with}}`, `{{#with __proto__ as |p|}}x{{p}}{{/with}}`, "{{#each __proto__}}x{{/each}}",
		"{{#constructor}}x{{/constructor}}", "{{#with (lookup s 'sub')}}x{{/with}}", "{{[constructor]}}", "{{[__proto__].[x]}}",
		"{{@root.constructor}}", "{{@root.__proto__}}", "{{@constructor}}", "{{@__proto__.x}}", "{{@_parent}}",
		"{{../constructor}}", "{{#each xs}}{{../constructor}}{{@root.constructor}}{{this.constructor}}{{/each}}",
		"{{container}}", "{{helpers}}", "{{helpers.each}}", "{{globalThis}}", "{{Handlebars}}", "{{@level}}", "{{@partial-block}}",
	} {
		require.Empty(t, renderHTML(t, engine, source, `{"s": "text", "xs": [1, 2], "n": 1.5}`), source)
	}
}

// Keys that mean something in JavaScript are data like any other, and change nothing
// for whoever renders next on the same machine.
func TestHostile_NoPollution(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: patient.Timeout})
	vars := `{"__proto__": {"leak": "leaked", "toString": "x", "if": "y"}, "constructor": {"prototype": {"leak": "leaked"}},
		"o": {"__proto__": {"leak": "leaked"}, "a": 1}, "hasOwnProperty": 1, "toString": 2}`
	source := "{{o.leak}}{{leak}}{{#each o}}{{@key}} {{/each}}{{__proto__.leak}} {{hasOwnProperty}}{{toString}}" +
		"{{#with o}}{{leak}}{{/with}}{{#each this}}{{leak}}{{/each}}"
	for range 3 {
		require.Equal(t, "__proto__ a leaked 12leaked", renderHTML(t, engine, source, vars))
		require.Equal(t, "[] []", renderHTML(t, engine, "[{{leak}}] [{{o.leak}}]", `{"o": {}}`))
		require.Equal(t, "[object Object]", renderHTML(t, engine, "{{#if o}}{{o}}{{/if}}", `{"o": {"a": 1}}`))
	}
}

func TestHostile_Sources(t *testing.T) {
	t.Parallel()
	n := 1000
	for _, test := range []struct{ name, source string }{
		{"blocks", strings.Repeat("{{#if a}}", 10*n) + strings.Repeat("{{/if}}", 10*n)},
		{"blocks left open", strings.Repeat("{{#if a}}", 10*n)},
		{"else", "{{#if a}}" + strings.Repeat("{{else if a}}", 10*n) + "{{/if}}"},
		{"arguments", "{{lookup " + strings.Repeat("(lookup ", 10*n) + "a 1" + strings.Repeat(") 1", 10*n) + " 1}}"},
		{"tags", strings.Repeat("{{a}}", 100*n)},
		{"braces", strings.Repeat("{", 500*n)},
		{"escaped tags", strings.Repeat(`\{{`, 160*n)},
		{"string", "{{lookup a \"" + strings.Repeat("x", 500*n)},
		{"segment", "{{[" + strings.Repeat("x", 500*n)},
		{"comments", strings.Repeat("{{!--", 100*n)},
		{"raw blocks", "{{{{raw}}}}" + strings.Repeat("{{{{x}}}}", 40*n)},
		{"path", "{{a" + strings.Repeat(".b", 200*n) + "}}"},
		{"parents", "{{" + strings.Repeat("../", 150*n) + "a}}"},
		{"named arguments", "{{#if a " + strings.Repeat("b=c ", 100*n) + "}}{{/if}}"},
		{"a megabyte", strings.Repeat("{{a}} ", 180*n)},
		{"partials of itself", strings.Repeat("{{> self}}", n)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t, strict)
			_, err := engine.Check(t.Context(), template.Source{HTML: test.source})
			f := requireFault(t, err, fault.Invalid, "invalid_template")
			require.Equal(t, "body.html", f.Fields[0].Location)
			require.Less(t, len(f.Fields[0].Message), 300)

			_, err = engine.Render(t.Context(), "k", template.Source{HTML: test.source}, json.RawMessage(`{"a": 1}`))
			f, ok := fault.As(err)
			require.True(t, ok)
			require.Contains(t, []string{"invalid_template", "render_limit_exceeded"}, f.Code)
			alive(t, engine)
		})
	}
}
