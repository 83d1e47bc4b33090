package template_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

// FuzzCheck compiles anything, and renders what compiles: never a panic, never a
// hang, and every error is a fault of the documented codes.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		order.HTML, order.Text, "{{#if a}}{{else if b}}{{/if}}", "{{#each a as |x i|}}{{x.y}}{{i}}{{@index}}{{../z}}{{/each}}",
		"{{{{raw}}}} {{x}} {{{{/raw}}}}", "{{!-- c --}}{{~a~}}{{{b}}}{{&c}}", "{{lookup (lookup a b) 'c'}}", "{{> p}}{{#*inline 'x'}}{{/inline}}",
		"{{#a}}{{^}}{{/a}}{{^b}}{{/b}}", `\{{a}} \\{{b}}`, "{{[a b].[c]}} {{\"d\"}} {{1}} {{true}} {{null}}", "{{", "{{{{", "{{!--", "{{#if", "\x00",
	} {
		f.Add(seed, `{"a": {"b": [1, {"c": "<"}]}, "__proto__": {"x": 1}}`)
	}
	f.Add("{{a}}", `{"a": {"toString": 1}}`)
	f.Add("{{#each this}}{{@key}}{{this}}{{/each}}", `{"constructor": [[], [[]]]}`)
	engine := newEngine(f, template.Config{VMs: 2, Timeout: 250 * time.Millisecond, MemoryLimit: 32 << 20})
	codes := []string{"invalid_template", "render_failed", "render_limit_exceeded"}
	f.Fuzz(func(t *testing.T, source, vars string) {
		src := template.Source{Subject: source, HTML: source}
		analysis, err := engine.Check(t.Context(), src)
		if err != nil {
			problem := requireFault(t, err, fault.Invalid, "invalid_template")
			require.NotEmpty(t, problem.Detail)
			return
		}
		require.True(t, slices.IsSorted(analysis.Required))
		_ = template.MissingVariables(analysis.Required, json.RawMessage(vars))
		out, err := engine.Render(t.Context(), "", src, json.RawMessage(vars))
		if err != nil {
			require.Contains(t, codes, fault.CodeOf(err), "%v", err)
			return
		}
		require.NotContains(t, out.Subject, "\n")
		_, _ = template.TextFromHTML(out.HTML)
	})
}

// FuzzValidate compiles any schema and validates any variables against it.
func FuzzValidate(f *testing.F) {
	for _, schema := range []string{
		orderSchema, `{}`, `{"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}`, `{"$ref": "#"}`, `{"pattern": "^a+$"}`,
		`{"anyOf": [{"required": ["a"]}, {"not": {"contains": {"const": 1}}}], "unevaluatedProperties": false}`,
		`{"if": {"multipleOf": 0.1}, "then": {"format": "date-time"}, "else": {"dependentRequired": {"a": ["b"]}}}`,
		`{"properties": {"a": {"prefixItems": [{"enum": [1, "x", null]}], "uniqueItems": true, "items": false}}}`,
		`{"patternProperties": {"^x": {"maximum": 5}}, "propertyNames": {"minLength": 2}, "additionalProperties": {"type": "null"}}`,
	} {
		f.Add(schema, `{"a": [1, "x", {"b": null}], "xy": 7, "user": {"name": 1}, "items": [{}]}`)
	}
	f.Add(`{"$id": "a", "$anchor": "b"}`, `{"a": 1e999}`)
	f.Fuzz(func(t *testing.T, schema, vars string) {
		compiled, err := template.CompileSchema(json.RawMessage(schema))
		if err != nil {
			problem := requireFault(t, err, fault.Invalid, "invalid_variables_schema")
			require.Len(t, problem.Fields, 1)
			return
		}
		for _, field := range compiled.Validate(json.RawMessage(vars)) {
			require.Contains(t, field.Location, "body.variables")
			require.NotEmpty(t, field.Message)
		}
	})
}
