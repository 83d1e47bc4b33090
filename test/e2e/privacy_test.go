package e2e

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// marker is in every address, subject, variable, body and URL that the test uses.
const marker = "zq7xkvw"

// Whoever may read Temporal's histories learns from them no address, subject, variable, body or key: of single emails and batches,
// with templates and without, bulk sends, failures, webhooks, sender domains, a suspension, a restored tenant and a deleted one.
func TestHistories_HaveNothingPersonal(t *testing.T) {
	t.Parallel()
	s := beside(t)
	api, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	tenant, _ := s.newTenant(t, mailtura.Settings{FromName: ptr(marker), RateLimit: ptr(int64(6000))})
	key := s.newKey(t, tenant)
	c := s.client(t, key, "")
	mail := func(local string) mailtura.SendEmail {
		return mailtura.SendEmail{
			To: to(marker + " <" + marker + local + "@example.com>"), Subject: ptr("Dear " + marker), Text: ptr("Hi " + marker),
			Metadata: &map[string]any{"order": marker}, Tags: &[]string{marker},
		}
	}
	made, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{Name: "t" + marker, Subject: ptr("{{name}}"), Text: ptr(marker)})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	endpoint := newEndpoint(t, good)
	endpoint.mu.Lock()
	hook, err := c.CreateWebhookWithResponse(t.Context(), nil, mailtura.CreateWebhook{Url: endpoint.URL + "/" + marker, Events: []string{"email.sent"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, hook.StatusCode(), string(hook.Body))
	endpoint.secret = hook.JSON201.Secret
	endpoint.mu.Unlock()

	addDomain(t, c, marker+".example.com")
	single := send(t, c, mail("ada"))
	awaitStatus(t, c, single.Id, "sent", 60*time.Second)
	templated := send(t, c, mailtura.SendEmail{
		To: to(marker + "@example.com"), Template: ptr("t" + marker), Variables: &map[string]any{"name": marker},
	})
	awaitStatus(t, c, templated.Id, "sent", 60*time.Second)
	awaitStatus(t, c, send(t, c, mail("+bounce")).Id, "bounced", 60*time.Second)
	deferred := send(t, c, mail("+defer"))
	awaitStatus(t, c, deferred.Id, "deferred", 60*time.Second)
	batch, err := c.SendEmailBatchWithResponse(t.Context(), nil, mailtura.SendBatch{Emails: []mailtura.SendEmail{mail("bob"), mail("eve")}})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, batch.StatusCode(), string(batch.Body))
	bulk := upload(t, c, bytes.NewBuffer(bytes.ReplaceAll(lines(marker+".example.com", 30).Bytes(), []byte("News"), []byte(marker))))
	require.Eventually(t, func() bool { return bulkSend(t, c, bulk.Id).Status == "completed" }, 60*time.Second, 100*time.Millisecond)
	endpoint.await(t, 2)
	s.suspend(t, tenant, false)
	s.resume(t, tenant)
	restored := s.remove(t, tenant, "1h")
	require.Equal(t, http.StatusOK, s.restore(t, tenant).StatusCode())
	deletion := s.remove(t, tenant, "")
	s.awaitDeleted(t, deletion.Id, map[string]int64{"webhooks": 1, "tenants": 1})

	var all []byte
	ids := []string{ // what is there is found, in ids, inputs and results
		bulk.Id, restored.Id, deletion.Id, hook.JSON201.Id, "SendEmails", "BulkSend", "DeliverWebhooks", "SuspendTenant", `"email_contents":`,
	}
	require.Eventually(t, func() bool { // when visibility has all of them
		all = s.histories(t)
		for _, id := range ids {
			if !bytes.Contains(all, []byte(id)) {
				return false
			}
		}
		return true
	}, 60*time.Second, 500*time.Millisecond)
	for name, text := range map[string]string{
		"something personal": marker, "a key": key, "the secret of a key": key[len("mt_live_"):], "an operator's key": s.Key,
		"the secret of a webhook": hook.JSON201.Secret, "an address": "@example.com",
	} {
		require.False(t, bytes.Contains(bytes.ToLower(all), bytes.ToLower([]byte(text))), "the histories have %s", name)
	}
}
