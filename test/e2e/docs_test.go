package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// block is a fenced block of a document.
type block struct {
	language, text string
	line           int
}

var fence = regexp.MustCompile("^```(\\w*)$")

func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var current *block
	for n, line := range strings.Split(string(raw), "\n") {
		mark := fence.FindStringSubmatch(line)
		switch {
		case mark != nil && current == nil:
			current = &block{language: mark[1], line: n + 1}
		case mark != nil:
			all = append(all, *current)
			current = nil
		case current != nil:
			current.text += line + "\n"
		}
	}
	require.Nil(t, current, "%s: a block is not closed", file)
	return all
}

// The commands and the YAML of the documents work as they are printed, one after the
// other. Blocks of another language than sh and yaml are not for a shell.
func TestDocs(t *testing.T) {
	t.Parallel()
	for file, commands := range map[string]int{
		"README.md": 2, "docs/guides/tenants.md": 15, "docs/guides/sending.md": 14, "docs/guides/configuration-file.md": 5,
		"docs/guides/webhooks.md": 5, "docs/guides/metrics.md": 3, "docs/guides/audit.md": 3, "docs/guides/templates.md": 6, "docs/guides/tracking.md": 3,
		"docs/guides/domains.md": 4,
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			s := beside(t)
			api, err := s.Launch("serve")
			require.NoError(t, err)
			t.Cleanup(api.Stop)
			require.Equal(t, commands, s.follow(t, file), "blocks of commands")
		})
	}
}

// follow does what a document says, in a folder as it is after ./task dev.
func (s *stack) follow(t *testing.T, file string) (commands int) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".mailtura"), 0o700))
	env := "MAILTURA_URL='" + s.URL + "'\nMAILTURA_OPERATOR_KEY='" + s.Key + "'\nINBOX_URL='" + s.Inbox.URL() + "'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".mailtura", "dev.env"), []byte(env), 0o600))
	environment := append(s.Environment(), "PATH="+filepath.Dir(testkit.MailturaBinary())+":"+os.Getenv("PATH"))
	for _, b := range blocks(t, filepath.Join("..", "..", file)) {
		switch b.language {
		case "yaml":
			require.NoError(t, os.WriteFile(filepath.Join(dir, "mailtura.yaml"), []byte(b.text), 0o600))
		case "sh":
			commands++
			// curl fails on an HTTP error, as a person would notice it
			script := "set -e\n" + strings.ReplaceAll(b.text, "curl ", "curl --fail-with-body -sS ")
			cmd := exec.Command("sh", "-c", script)
			cmd.Dir, cmd.Env = dir, environment
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s:%d\n%s\n%s", file, b.line, b.text, out)
		}
	}
	return commands
}
