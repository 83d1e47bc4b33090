package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// Webhooks in a file are made once by two who apply it, signed with the secret of their file,
// changed, made anew when they were deleted, and taken away by --prune.
func TestConfiguration_Webhooks(t *testing.T) {
	t.Parallel()
	const id = "file-webhooks"
	e := newEndpoint(t, good)
	file := filepath.Join(t.TempDir(), "mailtura.yaml")
	write := func(webhooks string) {
		text := "tenants:\n  - {id: " + id + ", domain: acme.com, fromEmail: noreply@acme.com, webhooks: [" + webhooks + "]}\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	apply := func(made string, more ...string) {
		out, code := shared.tool(t, append([]string{"apply", "-f", file}, more...)...)
		require.Zero(t, code, out)
		require.Contains(t, out, made)
		require.NotContains(t, out, "whsec_")
	}
	hook := `{url: "` + e.URL + `/hook", events: [email.sent], secretFile: hook.whsec}`
	write(hook)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if out, code := shared.tool(t, "apply", "-f", file); code != 0 {
				t.Errorf("apply ends with %d: %s", code, out)
			}
		})
	}
	both.Wait()
	c := shared.client(t, shared.Key, id)
	first := hooksOf(t, c)
	require.Len(t, first, 1)
	secret, err := os.ReadFile(filepath.Join(filepath.Dir(file), "hook.whsec"))
	require.NoError(t, err)
	e.mu.Lock()
	e.secret = strings.TrimSpace(string(secret))
	e.mu.Unlock()
	send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")})
	require.Equal(t, "email.sent", string(e.await(t, 1)[0].Event.Type))

	write(strings.Replace(hook, "[email.sent]", `["*"], enabled: false`, 1))
	apply(`events: ["email.sent"] -> ["*"]`)
	changed := hooksOf(t, c)
	require.Equal(t, first[0].Id, changed[0].Id)
	require.Equal(t, []any{[]string{"*"}, false}, []any{changed[0].Events, changed[0].Enabled})
	for range 2 { // made anew with the secret that there is
		deleted, err := c.DeleteWebhookWithResponse(t.Context(), changed[0].Id, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, deleted.StatusCode())
		apply("webhook " + id + "/" + e.URL + "/hook: create")
		again := hooksOf(t, c)
		require.Len(t, again, 1)
		require.NotEqual(t, changed[0].Id, again[0].Id)
		changed = again
	}
	kept, err := os.ReadFile(filepath.Join(filepath.Dir(file), "hook.whsec"))
	require.NoError(t, err)
	require.Equal(t, secret, kept)

	write("")
	apply("0 of 0 changes made.")
	out, code := shared.tool(t, "apply", "--prune", "-f", file)
	require.Equal(t, 1, code)
	require.Contains(t, out, "webhook "+id+"/"+e.URL+"/hook")
	require.Len(t, hooksOf(t, c), 1)
}

func hooksOf(t *testing.T, c *mailtura.ClientWithResponses) []mailtura.Webhook {
	t.Helper()
	list, err := c.ListWebhooksWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, list.StatusCode(), string(list.Body))
	return list.JSON200.Items
}
