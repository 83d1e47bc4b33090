package template

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrapBlocks(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"<mjml><mj-body>{{#each x}}\n<mj-section>{{/each}}</mj-section></mj-body></mjml>": "<mjml><mj-body><mj-raw>{{#each x}}\n</mj-raw><mj-section><mj-raw>{{/each}}</mj-raw></mj-section></mj-body></mjml>",
		"<mj-column><mj-text>{{a}} <b>{{b}}</b></mj-text></mj-column>":                    "",
		"<mj-section><mj-raw>{{a}}</mj-raw></mj-section>":                                 "",
		"<mj-column><mj-image src=\"{{> x}}\" />text</mj-column>":                         "",
		"<mj-body><!-- {{a}} --></mj-body>":                                               "",
	} {
		got, wrong := wrapBlocks(source)
		require.Nil(t, wrong, source)
		if want == "" {
			want = source
		}
		require.Equal(t, want, got)
	}
}

// Wrapping adds mj-raw and nothing else, and what is wrong has a place in the source.
func FuzzWrapBlocks(f *testing.F) {
	for _, seed := range []string{"<mj-body>{{a}}</mj-body>", "<mj-text>{{", "</x>", "<mj-section a='>'>\n{{/x}}", "<!--", "<mj-raw><mj-raw></mj-raw>{{a}}</mj-raw>"} {
		f.Add(seed)
	}
	strip := strings.NewReplacer("<mj-raw>", "", "</mj-raw>", "")
	f.Fuzz(func(t *testing.T, source string) {
		got, wrong := wrapBlocks(source)
		if wrong != nil {
			require.Positive(t, wrong.Line)
			require.LessOrEqual(t, wrong.Line, strings.Count(source, "\n")+1)
			return
		}
		require.Equal(t, strip.Replace(source), strip.Replace(got))
		require.Equal(t, strings.Count(source, "\n"), strings.Count(got, "\n"))
	})
}
