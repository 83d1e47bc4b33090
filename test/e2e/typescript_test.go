package e2e

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The TypeScript client's own tests, against the installation. ./task builds the client.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("npm", "test", "--silent")
	cmd.Dir = "../../clients/typescript"
	cmd.Env = shared.Environment()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "# pass 2")
}
