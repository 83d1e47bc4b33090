package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// keys runs mailtura keys on the installation, and gives what it prints.
func (s *stack) keys(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.MailturaBinary(), append([]string{"keys"}, args...)...)
	cmd.Env = s.Environment()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// An operator makes a key that may do less on the command line, finds it in the list, and
// revokes it, which running processes heed within a second.
func TestKeys_OnTheCommandLine(t *testing.T) {
	t.Parallel()
	key := strings.TrimSpace(shared.keys(t, "create-operator", "--name", "reader "+t.Name(), "--expires-in", "1h", "--scope", "tenants:read"))
	operator := shared.client(t, key, "")
	list := func() int {
		answer, err := operator.ListTenantsWithResponse(t.Context(), nil)
		require.NoError(t, err)
		return answer.StatusCode()
	}
	require.Equal(t, http.StatusOK, list())
	refused, err := operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{Name: "no", Domain: "acme.com"})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, refused.StatusCode(), string(refused.Body))

	var id string
	for line := range strings.Lines(shared.keys(t, "list-operators")) {
		if strings.Contains(line, "reader "+t.Name()) {
			require.Contains(t, line, "[tenants:read]")
			require.NotContains(t, line, key)
			id = strings.Fields(line)[0]
		}
	}
	require.NotEmpty(t, id)
	shared.keys(t, "revoke-operator", id)
	require.Eventually(t, func() bool { return list() == http.StatusUnauthorized }, 60*time.Second, 50*time.Millisecond)
	require.Contains(t, shared.keys(t, "list-operators"), id, "it is still listed")
}
