//go:build !race

package template_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/template"
)

// specFolder is where `npm ci` in web/ places the tests of Handlebars itself, as JSON.
const specFolder = "../../web/node_modules/handlebars-spec/spec"

// claimedSpecs are the files of it that are about what a template of ours can say, and how
// many cases of each are claimed. The others are about the parser's and compiler's insides
// (parser, tokenizer, track-ids, string-params), helpers of one's own (helpers,
// subexpressions), and the option strict, which is not set: what is not there prints nothing.
var claimedSpecs = map[string]int{
	"basic": 64, "blocks": 24, "builtins": 12, "data": 2, "partials": 33, "regressions": 20, "whitespace-control": 36,
}

// specCase is a case of the specification.
type specCase struct {
	Description    string          `json:"description"`
	It             string          `json:"it"`
	Number         string          `json:"number"`
	Template       string          `json:"template"`
	Data           json.RawMessage `json:"data"`
	Expected       *string         `json:"expected"`
	Exception      any             `json:"exception"`
	Partials       map[string]any  `json:"partials"` // a text, or code
	Helpers        json.RawMessage `json:"helpers"`
	Decorators     json.RawMessage `json:"decorators"`
	CompileOptions json.RawMessage `json:"compileOptions"`
	RuntimeOptions json.RawMessage `json:"runtimeOptions"`
}

func (c specCase) name() string {
	return strings.TrimSpace(c.Description + " | " + c.It + " " + c.Number)
}

// unclaimed is why a case is not claimed; empty: it is.
func (c specCase) unclaimed() string {
	sources, code := c.Template, false
	for _, partial := range c.Partials {
		source, isText := partial.(string)
		sources, code = sources+source, code || !isText
	}
	switch {
	case code:
		return "functions as partials"
	case c.Helpers != nil:
		return "helpers of one's own"
	case c.Decorators != nil, strings.Contains(sources, "{{*"), strings.Contains(sources, "{{#*"):
		return "decorators and inline partials"
	case c.CompileOptions != nil, c.RuntimeOptions != nil:
		return "options of the JavaScript API"
	case strings.Contains(string(c.Data), `"!code"`):
		return "functions as data"
	case !strings.HasPrefix(strings.TrimSpace(string(c.Data)), "{"):
		return "data that is not an object"
	}
	return unclaimedCases[c.name()]
}

// unclaimedCases are those that Mailtura decides otherwise, by name.
var unclaimedCases = map[string]string{
	"partials | should handle empty partial":                                                noPartial,
	"partials - partial blocks | should render partial block as default":                    noPartial,
	"partials - partial blocks | should execute default block with proper context":          noPartial,
	"partials - partial blocks | should propagate block parameters to default block":        noPartial,
	"Regressions | GH-1099: should support greater than 3 nested levels of inline partials": noPartial,
	"Regressions | GH-1065: Sparse arrays":                                                  "JSON has no sparse arrays",
}

const noPartial = "a partial that there is not, or that is empty, is refused when the template is saved"

func readSpec(t *testing.T, file string) (cases []specCase) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(specFolder, file+".json"))
	require.NoError(t, err, "run `npm ci` in web/")
	require.NoError(t, json.Unmarshal(text, &cases))
	return cases
}

// What the specification of Handlebars says of templates, the engine does.
func TestConformance(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	decided := map[string]bool{}
	for file, claimed := range claimedSpecs {
		ran := 0
		for _, c := range readSpec(t, file) {
			decided[c.name()] = true
			if c.unclaimed() == "" {
				ran++
				c.run(t, engine)
			}
		}
		require.Equal(t, claimed, ran, file)
	}
	for name := range unclaimedCases {
		require.True(t, decided[name], "the specification has no case %q", name)
	}
}

func (c specCase) run(t *testing.T, engine *template.Engine) {
	t.Helper()
	partials := template.Partials{}
	for name, source := range c.Partials {
		partials[name] = template.Partial{HTML: source.(string)}
	}
	out, err := engine.Render(t.Context(), "", template.Source{HTML: c.Template, Partials: partials}, c.Data)
	if c.Expected == nil {
		require.Error(t, err, "%s: %s", c.name(), c.Template)
		return
	}
	require.NoError(t, err, "%s: %s", c.name(), c.Template)
	require.Equal(t, *c.Expected, out.HTML, "%s: %s", c.name(), c.Template)
}
