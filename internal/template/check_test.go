//go:build !race

package template_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func TestCheck_Variables(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ name, source, required, optional string }{
		{"none", "no tags {{! a }}", "", ""},
		{"printed", "{{b}} {{{a}}} {{&c}}", "a b c", ""},
		{"first segment", "{{user.name}} {{user.mail}}", "user", ""},
		{"brackets and quotes", `{{[a b].c}} {{"d e"}} {{12}}`, "12 a b d e", ""},
		{"root", "{{@root.a.b}} {{@index}} {{@key}} {{this}} {{.}}", "a", ""},
		{"this", "{{this.a}} {{./b}}", "a b", ""},
		{"condition", "{{#if a}}{{b}}{{/if}}{{#unless c}}{{d}}{{/unless}}", "", "a b c d"},
		{"printed outside too", "{{b}}{{#if a}}{{b}}{{/if}}", "b", "a"},
		{"printed both ways", "{{#if a}}{{b}}{{c}}{{else}}{{b}}{{d}}{{/if}}", "b", "a c d"},
		{"printed every way", "{{#if a}}{{x}}{{else if b}}{{x}}{{else}}{{x}}{{/if}}", "x", "a b"},
		{"printed not every way", "{{#if a}}{{x}}{{else if b}}{{x}}{{/if}}", "", "a b x"},
		{"items", "{{#each items}}{{name}} {{this.sku}} {{@index}}{{/each}}", "", "items"},
		{"parent of items", "{{#each items}}{{../currency}} {{../../beyond}}{{/each}}", "", "currency items"},
		{"root of items", "{{#each items}}{{@root.currency}}{{/each}}", "", "currency items"},
		{"parent through if", "{{#each items}}{{#if x}}{{../a}}{{/if}}{{/each}}", "", "a items"},
		{"without a parent", "{{#if a}}{{../b}}{{/if}}", "", "a"},
		{"with", "{{#with user}}{{name}}{{../a}}{{else}}{{../b}}{{c}}{{/with}}", "", "a c user"},
		{"printed inside and outside of with", "{{#with user}}{{../a}}{{else}}{{a}}{{/with}}", "a", "user"},
		{"block parameters", "{{#each items as |item i|}}{{item.name}}{{i}}{{../item}}{{/each}}{{item}}", "item", "items"},
		{"block parameters of an outer block", "{{#each a as |x|}}{{#each x.b as |y|}}{{x.c}}{{y}}{{this.z}}{{/each}}{{/each}}", "", "a"},
		{"block parameter is not this", "{{#with a as |x|}}{{this.x}}{{./x}}{{/with}}", "", "a"},
		{"section", "{{#a}}{{b}}{{/a}}{{^c}}{{d}}{{/c}}", "", "a c d"},
		{"lookup", "{{lookup a b}} {{lookup c \"d\"}}", "a b c", ""},
		{"lookup in a lookup", "{{lookup (lookup a b) c}}", "a b c", ""},
		{"lookup in a condition", "{{#if (lookup a b)}}{{/if}}{{#if x includeZero=y}}{{/if}}", "", "a b x y"},
		{"raw block", "{{{{raw}}}}{{a}}{{{{/raw}}}}{{b}}", "b", ""},
		{"nested", "{{#if a}}{{#each b}}{{#if c}}{{../d}}{{/if}}{{/each}}{{/if}}", "", "a b d"},
		{"names of JavaScript", "{{constructor}} {{__proto__.x}} {{toString}}", "__proto__ constructor toString", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := engine.Check(t.Context(), template.Source{HTML: test.source})
			require.NoError(t, err)
			require.Equal(t, test.required, strings.Join(got.Required, " "))
			require.Equal(t, test.optional, strings.Join(got.Optional, " "))
		})
	}
}

// What one part prints in any case is required, whatever the others do.
func TestCheck_JoinsParts(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	got, err := engine.Check(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, []string{"address", "name", "order", "url"}, got.Required)
	require.Equal(t, []string{"currency", "items", "paid", "shipping", "total", "user", "vip"}, got.Optional)
}

func TestCheck_SaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ source, want string }{
		{"a\n  {{#if x}}\nb", "line 2, column 3: {{#if}} is never closed"},
		{"{{#if a}}{{#each b}}{{/each}}", "line 1, column 1: {{#if}} is never closed"},
		{"{{#if a}}{{/if}}\n{{^b}}{{#c}}{{/c}}", "line 2, column 1: {{^b}} is never closed"},
		{"{{#if a}}\n{{#each b}}{{/if}}", "line 2, column 4: {{#each}} is closed by {{/if}}"},
		{"é {{/if}}", "line 1, column 3: this closing tag closes no open block"},
		{"{{else}}", "line 1, column 1: {{else}} stands outside of a block"},
		{"a {{name", "line 1, column 5: this tag is never closed"},
		{"a {{", "line 1, column 5: this tag is never closed"},
		{"a {{name}", "line 1, column 9: this tag is never closed"},
		{"{{#if a}}{{name\n{{/if}}", "line 2, column 1: the tag before this one is never closed"},
		{"{{{a}}", `line 1, column 5: "}}" is not expected here, it should be }}}`},
		{"{{a}}}", `line 1, column 4: "}}}" is not expected here, it should be }}`},
		{"{{}}", `line 1, column 3: "}}" is not expected here, a name should follow`},
		{"{{a/../b}}", "line 1, column 3: a/.. is not a path"},
		{"{{!-- a", "line 1, column 1: this comment is never closed"},
		{"{{{{raw}}}} a", "line 1, column 12: this raw block is never closed"},
		{"{{{{other}}}}{{{{/other}}}}", "line 1, column 1: a block in four braces can only be {{{{raw}}}} … {{{{/raw}}}}"},
		{"a\x00b", "line 1, column 2: this character is not allowed"},
		{"\n{{> header}}", `line 2, column 1: there is no partial "header"`},
		{"{{> (lookup . 'x')}}", "line 1, column 1: the name of a partial can not be computed"},
		{"{{#> layout}}{{/layout}}", `line 1, column 1: there is no partial "layout"`},
		{"{{#if x}}{{> header}}{{/if}}", `line 1, column 10: there is no partial "header"`},
		{`{{#*inline "x"}}{{/inline}}`, "line 1, column 1: inline partials and decorators ({{#* …}}) are not supported"},
		{"{{* x}}", "line 1, column 1: decorators ({{* …}}) are not supported"},
		{`{{upper name}}`, `line 1, column 1: there is no helper "upper"; there are if, unless, each, with, lookup`},
		{`{{#list items}}{{/list}}`, `line 1, column 1: there is no helper "list"; there are if, unless, each, with, lookup`},
		{`{{#if (eq a b)}}{{/if}}`, `line 1, column 7: there is no helper "eq"; there are if, unless, each, with, lookup`},
		{`{{name x=1}}`, `line 1, column 1: there is no helper "name"; there are if, unless, each, with, lookup`},
		{`{{log "x"}}`, `line 1, column 1: there is no helper "log"; there are if, unless, each, with, lookup`},
		{`{{user.name "x"}}`, `line 1, column 1: there is no helper "user.name"; there are if, unless, each, with, lookup`},
		{`{{helperMissing "x"}}`, `line 1, column 1: there is no helper "helperMissing"; there are if, unless, each, with, lookup`},
		{`{{toString "x"}}`, `line 1, column 1: there is no helper "toString"; there are if, unless, each, with, lookup`},
		{`{{@root.x "x"}}`, `line 1, column 1: there is no helper "@root.x"; there are if, unless, each, with, lookup`},
		{`{{if.x "x"}}`, `line 1, column 1: there is no helper "if.x"; there are if, unless, each, with, lookup`},
		{`{{"if" x}}`, `line 1, column 1: there is no helper "if"; there are if, unless, each, with, lookup`},
		{"{{#each a as |x|}}{{x 1}}{{/each}}", `line 1, column 19: "x" is a value, it takes no arguments`},
		{"{{if}}", `line 1, column 1: "if" takes 1 argument(s), here it has 0; for a variable of that name write {{this.if}}`},
		{"{{#if a b}}{{/if}}", `line 1, column 1: "if" takes 1 argument(s), here it has 2`},
		{"{{if a}}", `line 1, column 1: "if" is a block: {{#if …}} … {{/if}}`},
		{"{{#lookup a b}}{{/lookup}}", `line 1, column 1: "lookup" is not a block, write {{lookup …}}`},
	} {
		_, err := engine.Check(t.Context(), template.Source{Text: test.source})
		f := requireFault(t, err, fault.Invalid, "invalid_template")
		want := []fault.Field{{Location: "body.text", Message: test.want, Code: "invalid_template"}}
		require.Equal(t, want, f.Fields, test.source)
	}
}

func TestCheck_OneFieldPerPart(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	_, err := engine.Check(t.Context(), template.Source{Subject: "{{", HTML: "{{a}}", Text: "{{#x}}{{#y}}"})
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Len(t, f.Fields, 2)
	require.Equal(t, "body.subject", f.Fields[0].Location)
	require.Equal(t, "body.text", f.Fields[1].Location)
}

func TestCheck_NestingLimit(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	nested := func(levels int) template.Source {
		return template.Source{HTML: strings.Repeat("{{#if a}}", levels) + "x" + strings.Repeat("{{/if}}", levels)}
	}
	_, err := engine.Check(t.Context(), nested(100))
	require.NoError(t, err)
	_, err = engine.Check(t.Context(), nested(101))
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Equal(t, "line 1, column 901: blocks and expressions can not nest deeper than 100 levels", f.Fields[0].Message)

	arguments := strings.Repeat("(lookup ", 101) + "a 1" + strings.Repeat(") 1", 101)
	_, err = engine.Check(t.Context(), template.Source{HTML: "{{lookup " + arguments + "}}"})
	requireFault(t, err, fault.Invalid, "invalid_template")
}

func TestCheck_SourceLimit(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	_, err := engine.Check(t.Context(), template.Source{HTML: strings.Repeat("<p>text</p>\n", 512<<10/12)})
	require.NoError(t, err)
	_, err = engine.Check(t.Context(), template.Source{HTML: strings.Repeat("x", 1<<20)})
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Equal(t, "it is 1048576 bytes long, at most 524288 are allowed", f.Fields[0].Message)
}

// What the error says once it says again: nothing of the broken template stays in the parser.
func TestCheck_ParserStartsAfresh(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: patient.Timeout})
	for _, broken := range []string{"{{!-- a", "{{{{raw}}}}", "{{#if", "{{", `{{"`, "{{[", `\{{`} {
		_, _ = engine.Check(t.Context(), template.Source{HTML: broken})
		got, err := engine.Check(t.Context(), template.Source{HTML: "{{a}}"})
		require.NoError(t, err, broken)
		require.Equal(t, []string{"a"}, got.Required)
	}
}
