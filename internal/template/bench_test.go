package template_test

import (
	"encoding/json"
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
