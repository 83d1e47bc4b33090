package template_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func TestMissingVariables(t *testing.T) {
	t.Parallel()
	missing := func(name string) fault.Field {
		return fault.Field{
			Location: "body.variables." + name,
			Message:  `the variable "` + name + `" is missing`,
			Code:     "missing_variable",
		}
	}
	for _, test := range []struct {
		name     string
		required []string
		vars     string
		want     []fault.Field
	}{
		{"nothing required", nil, ``, nil},
		{"all there", []string{"a", "b"}, `{"b": 1, "a": {"x": 1}, "c": 2}`, nil},
		{"falsy is there", []string{"a", "b", "c"}, `{"a": "", "b": 0, "c": false}`, nil},
		{"some missing", []string{"a", "b", "c"}, `{"b": 1}`, []fault.Field{missing("a"), missing("c")}},
		{"null is missing", []string{"a"}, `{"a": null}`, []fault.Field{missing("a")}},
		{"only the top level", []string{"a"}, `{"b": {"a": 1}}`, []fault.Field{missing("a")}},
		{"no variables", []string{"a"}, ``, []fault.Field{missing("a")}},
		{"null", []string{"a"}, `null`, []fault.Field{missing("a")}},
		{"not an object", []string{"a"}, `[1]`, []fault.Field{missing("a")}},
		{"not JSON", []string{"a"}, `{"a": 1`, []fault.Field{missing("a")}},
	} {
		require.Equal(t, test.want, template.MissingVariables(test.required, json.RawMessage(test.vars)), test.name)
	}
}

// What Check calls required is what leaves a hole when it is missing, and nothing else is.
func TestMissingVariables_AgreesWithCheck(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	analysis, err := engine.Check(t.Context(), order)
	require.NoError(t, err)
	require.Empty(t, template.MissingVariables(analysis.Required, json.RawMessage(orderVariables)))
	require.Len(t, template.MissingVariables(analysis.Required, json.RawMessage(`{"name": "Ann", "vip": true}`)), 3)
}
