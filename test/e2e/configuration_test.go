package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// configured is a folder with a configuration file of one tenant.
func configured(t *testing.T, id string) (file string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("Hello {{name}}\n"), 0o600))
	file = filepath.Join(dir, "mailtura.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`tenants:
  - id: `+id+`
    domain: acme.com
    fromEmail: noreply@acme.com
    templates: [{name: hello, subject: Hi, textFile: hello.txt}]
    apiKeys: [{name: production, scopes: ["emails:send", "emails:read"], secretFile: the.key}]
    domains: [{name: mail.`+id+`.example}]
`), 0o600))
	return file
}

func (s *stack) tool(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(testkit.MailturaBinary(), args...)
	cmd.Env = append(s.Environment(), "MAILTURA_URL="+s.URL, "MAILTURA_OPERATOR_KEY="+s.Key)
	raw, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); !exited { //nolint:errorlint // as exec returns it
		require.NoError(t, err)
	}
	return string(raw), cmd.ProcessState.ExitCode()
}

// Two who apply one file at the same time make everything once, and the key works.
func TestConfiguration_AppliedByTwoAtOnce(t *testing.T) {
	t.Parallel()
	id := "file-" + strings.ToLower(t.Name()[len("TestConfiguration_"):])
	file := configured(t, id)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			out, code := shared.tool(t, "apply", "-f", file)
			if code != 0 {
				t.Errorf("apply ends with %d: %s", code, out)
			}
		})
	}
	both.Wait()
	out, code := shared.tool(t, "plan", "-f", file)
	require.Zero(t, code, out)
	require.Equal(t, "Nothing to change.\n", out)
	keys, err := shared.client(t, shared.Key, id).ListApiKeysWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, keys.JSON200.Items, 1)
	domains, err := shared.client(t, shared.Key, id).ListDomainsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, domains.JSON200.Items, 1)
	require.Equal(t, "mail."+id+".example", domains.JSON200.Items[0].Name)

	secret, err := os.ReadFile(filepath.Join(filepath.Dir(file), "the.key"))
	require.NoError(t, err)
	c := shared.client(t, strings.TrimSpace(string(secret)), "")
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Template: ptr("hello"), Variables: &map[string]any{"name": "Ada"}})

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	none := strings.Replace(string(text), `[{name: hello, subject: Hi, textFile: hello.txt}]`, "[]", 1)
	require.NoError(t, os.WriteFile(file, []byte(none), 0o600))
	out, code = shared.tool(t, "plan", "-f", file)
	require.Zero(t, code, out)
}

// A server that is started with a file applies it, and does not start with one that is wrong.
func TestConfiguration_AtStart(t *testing.T) {
	t.Parallel()
	s := beside(t)
	file := configured(t, "acme-corp")
	api, err := s.Launch("serve", "MAILTURA_CONFIG="+file)
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	secret, err := os.ReadFile(filepath.Join(filepath.Dir(file), "the.key"))
	require.NoError(t, err)
	c := s.client(t, strings.TrimSpace(string(secret)), "")
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Template: ptr("hello"), Variables: &map[string]any{"name": "Ada"}})
	exported, code := s.tool(t, "export")
	require.Zero(t, code, exported)
	require.NotContains(t, exported, "mt_live_")
	again := filepath.Join(t.TempDir(), "exported.yaml")
	require.NoError(t, os.WriteFile(again, []byte(exported), 0o600))
	out, code := s.tool(t, "plan", "--prune", "-f", again)
	require.Zero(t, code, out)
	require.Contains(t, exported, "name: mail.acme-corp.example")
	without := regexp.MustCompile(`domains:\s+- name: \S+`).ReplaceAllString(exported, "domains: []")
	require.NoError(t, os.WriteFile(again, []byte(without), 0o600))
	out, code = s.tool(t, "apply", "--prune", "--yes", "-f", again)
	require.Zero(t, code, out)
	domains, err := c.ListDomainsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, domains.StatusCode(), "the key may only send and read")
	domains, err = s.client(t, s.Key, "acme-corp").ListDomainsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, domains.JSON200.Items)

	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	require.NoError(t, os.WriteFile(wrong, []byte("tenants:\n  - {id: a, domian: a.bc}\n"), 0o600))
	out, code = s.tool(t, "serve", "--config", wrong)
	require.Equal(t, 1, code)
	require.Contains(t, out, `wrong.yaml: [2:13] unknown key "domian"; is it "domain"?`)
}
