package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// audit runs mailtura audit, and gives what it prints and how it ends.
func (s *stack) audit(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.MailturaBinary(), append([]string{"audit"}, args...)...)
	cmd.Env = s.Environment()
	raw, err := cmd.CombinedOutput()
	if err != nil {
		ended := &exec.ExitError{}
		require.ErrorAs(t, err, &ended)
	}
	return string(raw), cmd.ProcessState.ExitCode()
}

// An operator exports the log and checks it; a file in which something was changed is found out.
func TestAudit_ExportAndVerify(t *testing.T) {
	t.Parallel()
	name := "audited " + t.Name()
	shared.keys(t, "create-operator", "--name", name)
	out, code := shared.audit(t, "verify")
	require.Zero(t, code, out)
	require.Regexp(t, `^\d+ entries, none of them changed. Head: [0-9a-f]{64}\n$`, out)
	head := out[len(out)-65 : len(out)-1]

	exported, code := shared.audit(t, "export")
	require.Zero(t, code)
	require.Contains(t, exported, name)
	require.Contains(t, exported, `"actor":{"kind":"command_line","id":"`)
	require.Contains(t, exported, head)
	file := filepath.Join(t.TempDir(), "audit.ndjson")
	verify := func(text string, args ...string) (string, int) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return shared.audit(t, append([]string{"verify", "-f", file}, args...)...)
	}
	out, code = verify(exported, "--expect", head)
	require.Zero(t, code, out)
	out, code = verify(exported[:strings.Index(exported, head)-20])
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "not an entry")

	lines := strings.SplitAfter(exported, "\n")
	out, code = verify(strings.Join(lines[:1], ""), "--expect", head)
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "the log was cut off behind entry 1")
	out, code = verify(strings.Replace(exported, name, "forged", 1))
	require.Equal(t, 1, code, out)
	require.Regexp(t, `entry \d+ was changed`, out)
	out, code = verify(strings.Join(append(lines[:0:0], lines[1:]...), ""))
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "entry 1 is missing")
	out, code = verify("")
	require.Zero(t, code, out)
	require.Equal(t, "The log is empty.\n", out)
}
