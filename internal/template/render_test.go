//go:build !race

package template_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func TestRender_Language(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ name, source, vars, want string }{
		{"plain text", "no tags", `{}`, "no tags"},
		{"variable", "Hi {{name}}!", `{"name": "Ann"}`, "Hi Ann!"},
		{"missing variable", "[{{name}}]", `{}`, "[]"},
		{"null variable", "[{{name}}]", `{"name": null}`, "[]"},
		{"numbers and booleans", "{{n}} {{z}} {{yes}} {{no}}", `{"n": 1.5, "z": 0, "yes": true, "no": false}`, "1.5 0 true false"},
		{"path", "{{user.name.first}}", `{"user": {"name": {"first": "Ann"}}}`, "Ann"},
		{"path over nothing", "[{{user.name.first}}]", `{"user": null}`, "[]"},
		{"segment in brackets", "{{user.[first name]}}", `{"user": {"first name": "Ann"}}`, "Ann"},
		{"own length", "{{items.length}}", `{"items": [1, 2]}`, "2"},
		{"escaping", "{{x}}", `{"x": "<a href='q'>\"&` + "`" + `="}`, "&lt;a href&#x3D;&#x27;q&#x27;&gt;&quot;&amp;&#x60;&#x3D;"},
		{"no escaping", "{{{x}}} {{&x}}", `{"x": "<b>"}`, "<b> <b>"},
		{"unicode", "{{x}} 👩‍👩‍👧 é", `{"x": "日本 \ud83d\ude00"}`, "日本 😀 👩‍👩‍👧 é"},
		{"half a surrogate pair", "{{x}}", `{"x": "a\ud800b"}`, "a\uFFFDb"},
		{"zero byte in a value", "{{x}}", `{"x": "a\u0000b"}`, "a\x00b"},
		{"if", "{{#if x}}yes{{else}}no{{/if}}", `{"x": 1}`, "yes"},
		{"if not", "{{#if x}}yes{{else}}no{{/if}}", `{}`, "no"},
		{"if with an empty list", "{{#if x}}yes{{else}}no{{/if}}", `{"x": []}`, "no"},
		{"if with zero", "{{#if x}}yes{{else}}no{{/if}} {{#if x includeZero=true}}yes{{/if}}", `{"x": 0}`, "no yes"},
		{"else if", "{{#if a}}a{{else if b}}b{{else}}c{{/if}}", `{"b": true}`, "b"},
		{"unless", "{{#unless x}}no{{/unless}}", `{}`, "no"},
		{"each", "{{#each xs}}{{this}},{{/each}}", `{"xs": [1, 2, 3]}`, "1,2,3,"},
		{"each without items", "{{#each xs}}x{{else}}none{{/each}}", `{"xs": []}`, "none"},
		{"each without a list", "{{#each xs}}x{{/each}}", `{}`, ""},
		{"each over an object in its order", "{{#each o}}{{@key}}={{this}};{{/each}}", `{"o": {"z": 1, "a": 2}}`, "z=1;a=2;"},
		{"each data", "{{#each xs}}{{@index}}{{#if @first}}f{{/if}}{{#if @last}}l{{/if}} {{/each}}", `{"xs": [7, 8, 9]}`, "0f 1 2l "},
		{"this.x", "{{#each xs}}{{this.x}}{{./x}}{{/each}}", `{"xs": [{"x": 1}, {"x": 2}]}`, "1122"},
		{"no way up by accident", "{{#each xs}}[{{name}}]{{/each}}", `{"xs": [{}], "name": "outer"}`, "[]"},
		{"parent", "{{#each xs}}{{../name}}{{x}} {{/each}}", `{"xs": [{"x": 1}, {"x": 2}], "name": "n"}`, "n1 n2 "},
		{"parents", "{{#each a}}{{#each b}}{{../../n}}{{../m}}{{c}}{{/each}}{{/each}}", `{"n": "N", "a": [{"m": "M", "b": [{"c": "C"}]}]}`, "NMC"},
		{"parent through if", "{{#each xs}}{{#if x}}{{../n}}{{/if}}{{/each}}", `{"n": "N", "xs": [{"x": 1}]}`, "N"},
		{"root", "{{#each xs}}{{@root.n}}{{/each}}", `{"n": "N", "xs": [1, 2]}`, "NN"},
		{"with", "{{#with user}}{{name}}{{/with}}{{#with none}}x{{else}}nobody{{/with}}", `{"user": {"name": "Ann"}}`, "Annnobody"},
		{"block parameters", "{{#each xs as |x i|}}{{i}}{{x.y}}{{/each}}", `{"xs": [{"y": "a"}, {"y": "b"}]}`, "0a1b"},
		{"lookup", "{{lookup names key}} {{lookup xs 1}}", `{"names": {"a": "A"}, "key": "a", "xs": [7, 8]}`, "A 8"},
		{"lookup inside", "{{#if (lookup flags name)}}on{{/if}}", `{"flags": {"f": true}, "name": "f"}`, "on"},
		{"section", "{{#user}}{{name}}{{/user}}{{^none}}none{{/none}}", `{"user": {"name": "Ann"}}`, "Annnone"},
		{"section over a list", "{{#xs}}{{this}}{{/xs}}", `{"xs": [1, 2]}`, "12"},
		{"section named like a lambda helper", "{{#blockHelperMissing}}x{{/blockHelperMissing}}{{helperMissing}}", `{"blockHelperMissing": true, "helperMissing": "y"}`, "xy"},
		{"variable named like a helper", "{{this.if}} {{log}} {{./each}}", `{"if": 1, "log": 2, "each": 3}`, "1 2 3"},
		{"comments", "a{{! no }}{{!-- no }} --}}b", `{}`, "ab"},
		{"raw block", "{{{{raw}}}} {{x}} <b> {{{{/raw}}}}!", `{"x": 1}`, " {{x}} <b> !"},
		{"raw block in a block", "{{#each xs}}{{{{raw}}}}{{x}}{{{{/raw}}}}{{this}}{{/each}}", `{"xs": [1, 2]}`, "{{x}}1{{x}}2"},
		{"raw is a variable too", "{{{raw}}}{{raw}}", `{"raw": "<b>"}`, "<b>&lt;b&gt;"},
		{"escaped tag", `\{{x}} \\{{x}}`, `{"x": 1}`, `{{x}} \1`},
		{"white space control", "a {{~x~}} b", `{"x": 1}`, "a1b"},
		{"blocks alone on their lines", "a\n{{#if x}}\nb\n{{/if}}\nc", `{"x": 1}`, "a\nb\nc"},
		{"list printed", "{{xs}}", `{"xs": [1, [2, null], "<"]}`, "1,2,,&lt;"},
		{"object printed", "{{o}}", `{"o": {"a": 1}}`, "[object Object]"},
		{"data named toHTML", "{{o}}", `{"o": {"toHTML": "x"}}`, "[object Object]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, renderHTML(t, engine, test.source, test.vars))
		})
	}
}

func TestRender_EscapesOnlyHTML(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	src := template.Source{Subject: "{{x}}", HTML: "{{x}}", Text: "{{x}}"}
	out, err := engine.Render(t.Context(), "", src, json.RawMessage(`{"x": "<&>"}`))
	require.NoError(t, err)
	require.Equal(t, template.Rendered{Subject: "<&>", HTML: "&lt;&amp;&gt;", Text: "<&>"}, out)
}

func TestRender_WholeMail(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	out, err := engine.Render(t.Context(), "tpl_order@1", order, json.RawMessage(orderVariables))
	require.NoError(t, err)
	require.Equal(t, "Your order A-17", out.Subject)
	require.Contains(t, out.HTML, "<h1>Thank you, Ann &lt;b&gt;!</h1>")
	require.Contains(t, out.HTML, "Dr O&#x27;Hara.</p>\n<table>\n<tr><td>0</td><td>a1</td><td>Cup</td><td>EUR 9.00</td></tr>\n")
	require.Contains(t, out.HTML, "Pot &amp; lid")
	require.Contains(t, out.Text, "Thank you, Ann <b>!\n- Cup: 9.00 EUR\n- Pot & lid: 20.00 EUR\n")
}

func TestRender_SubjectIsOneLine(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	for _, test := range []struct{ subject, want string }{
		{"  Hello \r\n\t{{x}}\n", "Hello a b"},
		{"a\r\nBcc: victim@example.com", "a Bcc: victim@example.com"},
		{"a\u2028b\u0085c\vd\x01e", "a b c d e"},
		{"two  spaces stay", "two  spaces stay"},
	} {
		out, err := engine.Render(t.Context(), "", template.Source{Subject: test.subject}, json.RawMessage(`{"x": "a\nb"}`))
		require.NoError(t, err)
		require.Equal(t, test.want, out.Subject)
	}
}

func TestRender_Variables(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	src := template.Source{Text: "[{{x}}]"}
	for _, empty := range []json.RawMessage{nil, json.RawMessage(" "), json.RawMessage("null"), json.RawMessage("\n{ }\t")} {
		out, err := engine.Render(t.Context(), "", src, empty)
		require.NoError(t, err, "%q", empty)
		require.Equal(t, "[]", out.Text)
	}
	for _, wrong := range []string{"[]", `"x"`, "7", "{", `{"x": }`, `{"x": 1} {}`, "{'x': 1}", "{\"x\": \"\x01\"}"} {
		_, err := engine.Render(t.Context(), "", src, json.RawMessage(wrong))
		f := requireFault(t, err, fault.Invalid, "render_failed")
		require.Equal(t, "body.variables", f.Fields[0].Location, wrong)
	}
	_, err := engine.Render(t.Context(), "", src, json.RawMessage(`{"x": "`+strings.Repeat("x", 1<<20)+`"}`))
	requireFault(t, err, fault.Invalid, "render_limit_exceeded")
}

// Values that can not be printed fail their own render, by part, and nothing else.
func TestRender_FailsByPart(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	src := template.Source{Subject: "s", HTML: "h", Text: "{{x}}"}
	for range 3 {
		_, err := engine.Render(t.Context(), "k", src, json.RawMessage(`{"x": {"toString": 1, "valueOf": 2}}`))
		f := requireFault(t, err, fault.Invalid, "render_failed")
		require.Equal(t, "body.text", f.Fields[0].Location)
		out, err := engine.Render(t.Context(), "k", src, json.RawMessage(`{"x": 1}`))
		require.NoError(t, err)
		require.Equal(t, "1", out.Text)
	}
}

func TestRender_RefusesWhatCheckRefuses(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	_, err := engine.Render(t.Context(), "k", template.Source{HTML: "{{#if x}}", Text: "{{> x}}"}, nil)
	f := requireFault(t, err, fault.Invalid, "invalid_template")
	require.Len(t, f.Fields, 2)
}

// A key stands for its source: the compiled template is used again, whatever comes with it.
func TestRender_KeepsByKey(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: patient.Timeout})
	render := func(key, source string) string {
		out, err := engine.Render(t.Context(), key, template.Source{Text: source}, json.RawMessage(`{"x": 1}`))
		require.NoError(t, err)
		return out.Text
	}
	require.Equal(t, "a1", render("k", "a{{x}}"))
	require.Equal(t, "a1", render("k", "b{{x}}"))
	require.Equal(t, "b1", render("k2", "b{{x}}"))
	require.Equal(t, "c1", render("", "c{{x}}"))
	require.Equal(t, "d1", render("", "d{{x}}"))
}

// More templates than a machine keeps: each still renders as itself.
func TestRender_ManyKeys(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: patient.Timeout, MemoryLimit: 8 << 20})
	for round := range 2 {
		for i := range 100 {
			src := template.Source{Text: fmt.Sprintf("%d {{x}} %s", i, strings.Repeat("text ", 2000))}
			out, err := engine.Render(t.Context(), strconv.Itoa(i), src, json.RawMessage(`{"x": "y"}`))
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(out.Text, fmt.Sprintf("%d y", i)), "round %d", round)
		}
	}
}

func ExampleEngine_Render() {
	engine, err := template.NewEngine(template.Config{})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	src := template.Source{Subject: "Hello {{name}}", HTML: "<p>Hello {{name}}</p>"}
	out, err := engine.Render(context.Background(), "tpl_1@1", src, json.RawMessage(`{"name": "Ann & Bob"}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(out.Subject)
	fmt.Println(out.HTML)
	// Output:
	// Hello Ann & Bob
	// <p>Hello Ann &amp; Bob</p>
}
