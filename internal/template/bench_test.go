package template_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/template"
)

// All three parts of a 20-line mail with a list of five, compiled before.
func BenchmarkRender(b *testing.B) {
	engine := newEngine(b, template.Config{})
	vars := json.RawMessage(orderVariables)
	b.ReportAllocs()
	for b.Loop() {
		_, err := engine.Render(b.Context(), "order@1", order, vars)
		require.NoError(b, err)
	}
}

// The same with as many callers as there are processors.
func BenchmarkRender_Parallel(b *testing.B) {
	engine := newEngine(b, template.Config{})
	vars := json.RawMessage(orderVariables)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := engine.Render(b.Context(), "order@1", order, vars)
			require.NoError(b, err)
		}
	})
}

// The least that a render can cost: three parts with one variable each.
func BenchmarkRender_Short(b *testing.B) {
	engine := newEngine(b, template.Config{})
	src := template.Source{Subject: "Hi {{name}}", HTML: "<p>Hi {{name}}</p>", Text: "Hi {{name}}"}
	for b.Loop() {
		_, err := engine.Render(b.Context(), "short@1", src, json.RawMessage(`{"name": "Ann"}`))
		require.NoError(b, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	engine := newEngine(b, template.Config{})
	for b.Loop() {
		_, err := engine.Check(b.Context(), order)
		require.NoError(b, err)
	}
}

// An engine and its first machine, the script compiled from source.
func BenchmarkNewEngine(b *testing.B) {
	for b.Loop() {
		engine, err := template.NewEngine(template.Config{VMs: 1})
		require.NoError(b, err)
		engine.Close()
	}
}

func BenchmarkMissingVariables(b *testing.B) {
	required := []string{"address", "name", "order", "url"}
	for b.Loop() {
		require.Empty(b, template.MissingVariables(required, json.RawMessage(orderVariables)))
	}
}

func BenchmarkCompileSchema(b *testing.B) {
	for b.Loop() {
		compileSchema(b, orderSchema)
	}
}

func BenchmarkSchema_Validate(b *testing.B) {
	schema := compileSchema(b, `{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
		"items": {"items": {"required": ["sku"], "properties": {"sku": {"type": "string"}}}}}}`)
	for b.Loop() {
		require.Empty(b, schema.Validate(json.RawMessage(orderVariables)))
	}
}

func BenchmarkTextFromHTML(b *testing.B) {
	engine := newEngine(b, template.Config{})
	html := renderHTML(b, engine, order.HTML, orderVariables)
	for b.Loop() {
		_, err := template.TextFromHTML(html)
		require.NoError(b, err)
	}
}

// A template whose subject the email has another for: the same one each time, a text that has
// no variables, and one that was never seen before, which is compiled.
func BenchmarkRenderEmail_OwnSubject(b *testing.B) {
	engine := newEngine(b, template.Config{})
	for name, subject := range map[string]func(n int) string{
		"same":    func(int) string { return "For {{name}}" },
		"literal": func(n int) string { return "Order " + strconv.Itoa(n) },
		"another": func(n int) string { return "Order " + strconv.Itoa(n) + " for {{name}}" },
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				in := template.Email{Key: "order@1", Pinned: &order, Own: template.Source{Subject: subject(n)}, Variables: []byte(orderVariables)}
				_, err := engine.RenderEmail(b.Context(), in)
				require.NoError(b, err)
			}
		})
	}
}
