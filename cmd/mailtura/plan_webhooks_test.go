package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/webhook"
)

func TestWebhookSecretIn(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "hook.whsec")
	made, undo, err := webhookSecretIn(name)
	require.NoError(t, err)
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	again, undoNothing, err := webhookSecretIn(name)
	require.NoError(t, err)
	require.Equal(t, made.Text(), again.Text(), "one that is there is taken")
	undoNothing()
	require.FileExists(t, name, "and stays")
	undo()
	entries, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left behind")

	given := webhook.NewSecret().Text()
	require.NoError(t, os.WriteFile(name, []byte(" "+given+"\r\n"), 0o400), "of a secret that was mounted")
	read, _, err := webhookSecretIn(name)
	require.NoError(t, err)
	require.Equal(t, given, read.Text())

	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("precious"), 0o600))
	_, _, err = webhookSecretIn(other)
	require.ErrorContains(t, err, "a secret is whsec_ and 24 to 64 bytes in base64")
	require.NotContains(t, err.Error(), "precious")
	_, _, err = webhookSecretIn(filepath.Join(t.TempDir(), "none", "hook"))
	require.ErrorContains(t, err, "write secretFile")
	_, _, err = webhookSecretIn(t.TempDir())
	require.ErrorContains(t, err, "read secretFile")
}

const hooked = `tenants:
  - id: same
    domain: same.example
    webhooks:
      - {url: "https://same.example/hook", events: [email.sent]}
`

func webhooksOf(t *testing.T, text string) []plan.Tenant {
	t.Helper()
	want, err := readConfiguration(yamlFile(t, text))
	require.NoError(t, err)
	return want
}

// A secret that nobody would see is not made.
func TestApply_WebhookNeedsAPlaceForItsSecret(t *testing.T) {
	t.Parallel()
	api := newAPI(t, doc("same", ""))
	client, err := newOperatorAPI(api.URL, operatorKey, "test")
	require.NoError(t, err)
	a := applier{api: client, want: webhooksOf(t, hooked), out: io.Discard}
	require.ErrorContains(t, a.run(t.Context()), "create webhook same/https://same.example/hook: without a terminal to show the secret on, it needs a secret or a secretFile")
	require.Empty(t, api.changes)
}

// The event types of the file are those of the API; a mistake is found before anything is asked.
func TestPlan_KnowsTheEvents(t *testing.T) {
	t.Parallel()
	_, err := readConfiguration(yamlFile(t, strings.Replace(hooked, "[email.sent]", "[email.sent, email.snet]", 1)))
	require.ErrorContains(t, err, "webhooks[0].events[1]: is no type of events")
	want := webhooksOf(t, "tenants: [{id: a, domain: a.bc, webhooks: [{url: https://a.bc, events: ['*', 'email.*', quota.reached], secretFile: x}]}]")
	require.True(t, filepath.IsAbs(want[0].Sections[plan.KindWebhook][0].SecretFile), "relative to the file")
}
