package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// The TypeScript of docs/guides/webhooks.md compiles as it stands, takes what is signed and
// refuses what is not.
func TestWebhooks_TypeScriptSample(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), "http://127.0.0.1:"+strconv.Itoa(freePort(t))
	modules, err := filepath.Abs("../../clients/typescript/node_modules")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type": "module"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hook.ts"), []byte(sample(t, "docs/guides/webhooks.md", "ts")), 0o600))
	compile := exec.Command("node", filepath.Join(modules, "typescript/bin/tsc"), "--strict", "--target", "es2022", "--module", "nodenext", "hook.ts")
	compile.Dir = dir
	out, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", out)

	_, c := shared.newTenant(t, mailtura.Settings{})
	hook, err := c.CreateWebhookWithResponse(t.Context(), nil, mailtura.CreateWebhook{Url: url + "/hooks/mail", Events: []string{"email.sent"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, hook.StatusCode(), string(hook.Body))
	serveSample(t, dir, url, hook.JSON201.Secret)

	forged, err := http.Post(url+"/hooks/mail", "application/json", strings.NewReader(`{"id":"evt_x"}`))
	require.NoError(t, err)
	require.NoError(t, forged.Body.Close())
	require.Equal(t, http.StatusBadRequest, forged.StatusCode)

	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Grüße"), Text: ptr("Hi")})
	require.Eventually(t, func() bool {
		log, err := c.ListWebhookDeliveriesWithResponse(t.Context(), hook.JSON201.Id, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, log.StatusCode(), string(log.Body))
		return len(log.JSON200.Items) == 1 && *log.JSON200.Items[0].StatusCode == http.StatusNoContent
	}, 30*time.Second, 50*time.Millisecond)
}

// sample is the one block of a document in a language.
func sample(t *testing.T, file, language string) string {
	t.Helper()
	var found []string
	for _, b := range blocks(t, filepath.Join("..", "..", file)) {
		if b.language == language {
			found = append(found, b.text)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

// serveSample runs the compiled sample until the test ends.
func serveSample(t *testing.T, dir, url, secret string) {
	t.Helper()
	server := exec.Command("node", "hook.js")
	server.Dir = dir
	server.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "PORT="+url[strings.LastIndexByte(url, ':')+1:])
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // it was only to be had
	return l.Addr().(*net.TCPAddr).Port
}
