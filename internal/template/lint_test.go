package template_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/template"
)

func found(findings []template.Finding) (lines []string) {
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%s %s %s %d:%d", f.Severity, f.Code, f.Part, f.Line, f.Column))
	}
	return lines
}

func TestLintMarkup(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`<a href="https://a.example/{{id}}?x={{lookup a "b"}}">x</a><a href="{{url}}">y</a><a name="x"></a>`:         "",
		`<a href="mailto:a@example.com">x</a><a href="tel:+41">y</a><a href="#top">z</a><img src="cid:logo" alt="">`: "",
		"<p>\n  <a href=''>x</a></p>":                                   "warning empty_link html 2:3",
		`<a href="#">x</a>`:                                             "warning empty_link html 1:1",
		`<a href=" JavaScript:alert(1)">x</a>`:                          "error unsafe_link html 1:1",
		"<a href=\"java\nscript:alert(1)\">x</a>":                       "error unsafe_link html 1:1",
		`<a href="/orders">x</a>`:                                       "error relative_link html 1:1",
		`<a href="www.example.com">x</a>`:                               "error relative_link html 1:1",
		`<a href="//example.com/">x</a>`:                                "error relative_link html 1:1",
		`<a href="https://">x</a>`:                                      "error malformed_link html 1:1",
		`<a href="https://exa mple.com/">x</a>`:                         "error malformed_link html 1:1",
		`<a href="http://[::1">x</a>`:                                   "error malformed_link html 1:1",
		`é<img src="https://a.example/a.png">`:                          "warning missing_alt html 1:2",
		`<img alt="x">`:                                                 "warning empty_link html 1:1",
		`<img alt="x" src="data:image/png;base64,AA">`:                  "warning data_image html 1:1",
		`<mj-button href="/x">y</mj-button><mj-image src="{{logo}}" />`: "error relative_link html 1:1|warning missing_alt html 1:35",
	} {
		require.Equal(t, want, strings.Join(found(template.LintMarkup("html", source)), "|"), source)
	}
}

func TestLintVariables(t *testing.T) {
	t.Parallel()
	uses := []template.Use{{Part: "html", Name: "a", Line: 1, Column: 2}, {Part: "html", Name: "b", Line: 3, Column: 4}}
	for schema, want := range map[string]string{
		`{"properties":{"a":{},"b":{}}}`:                                                          "",
		`{"properties":{"a":{}},"required":["b"]}`:                                                "",
		`{"properties":{"a":{},"c":{}}}`:                                                          "warning unknown_variable html 3:4|info unused_variable variables 0:0",
		`{"properties":{"a":{}},"additionalProperties":false}`:                                    "error unknown_variable html 3:4",
		`{"allOf":[{"$ref":"#/$defs/x"}],"properties":{"a":{}},"$defs":{"x":{"required":["b"]}}}`: "",
	} {
		require.Equal(t, want, strings.Join(found(template.LintVariables(json.RawMessage(schema), uses)), "|"), schema)
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	schema := `{"type":"object","$defs":{"item":{"type":"object","properties":{"sku":{"type":"string"},"n":{"type":"integer","minimum":3}}}},
		"properties":{"name":{"type":"string","examples":["Ada"]},"level":{"enum":["gold","iron"]},"kind":{"const":"x"},"on":{"type":"boolean"},
		"mail":{"type":["null","string"],"format":"email"},"price":{"type":"number","default":9.5},"items":{"type":"array","items":{"$ref":"#/$defs/item"}},
		"pair":{"prefixItems":[{"type":"integer"},{"type":"string"}]},"who":{"oneOf":[{"properties":{"id":{"type":"integer"}}},{"type":"string"}]},
		"both":{"allOf":[{"properties":{"p":{}}},{"properties":{"q":{"type":"null"}}}]},"free":{}}}`
	_, err := template.CompileSchema(json.RawMessage(schema))
	require.NoError(t, err)
	got, err := json.Marshal(template.Example(json.RawMessage(schema)))
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"Ada","level":"gold","kind":"x","on":true,"mail":"ada@example.com","price":9.5,
		"items":[{"sku":"sku","n":3},{"sku":"sku","n":3}],"pair":[1,"pair"],"who":{"id":1},"both":{"p":"p","q":null},"free":"free"}`, string(got))
	require.Empty(t, template.Example(json.RawMessage(`{"$id":"x"}`)), "of what is not a schema")
}

// A small schema can not make an example of megabytes.
func TestExample_IsBounded(t *testing.T) {
	t.Parallel()
	lists := strings.Repeat(`{"items":`, 50) + `{"type":"string"}` + strings.Repeat("}", 50)
	long := `{"$defs":{"x":{"default":"` + strings.Repeat("x", 30_000) + `"}},"properties":{"l":` + lists
	for i := range 400 {
		long += fmt.Sprintf(`,"p%d":{"$ref":"#/$defs/x"}`, i)
	}
	long += "}}"
	_, err := template.CompileSchema(json.RawMessage(long))
	require.NoError(t, err)
	got, err := json.Marshal(template.Example(json.RawMessage(long)))
	require.NoError(t, err)
	require.Less(t, len(got), 64<<10)
}

// Whatever is in a source, looking at it ends, and every finding has a place in it.
func FuzzLintMarkup(f *testing.F) {
	for _, seed := range []string{"<a href='x'>", "{{#if", "<img {{x}} src=\"{{lookup a \"b\"}}\">", "<mj-image\n/>", "<!--<a href>-->", "<style><a href=x></style>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, finding := range template.LintMarkup("html", source) {
			require.Positive(t, finding.Line)
			require.LessOrEqual(t, finding.Line, strings.Count(source, "\n")+1)
			require.Positive(t, finding.Column)
		}
	})
}
