package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/apikey"
)

// second starts another API process on the installation, and gives its address.
func (s *stack) second(t *testing.T, env ...string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = l.Addr().String()
	require.NoError(t, l.Close())
	process, err := s.Launch("apiserver", append(env, "MAILTURA_LISTEN="+address)...)
	require.NoError(t, err)
	t.Cleanup(process.Stop)
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/readyz")
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, 60*time.Second, 50*time.Millisecond)
	return "http://" + address
}

// status is the answer to a read with a key, from an address that a proxy tells of.
func status(t *testing.T, api, key, forwarded string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/api/v1/emails", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+key)
	if forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// A key that is revoked at one process is refused by another one that knows it.
func TestKeys_RevokedOnEveryProcess(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{})
	other := shared.second(t)
	made, err := shared.client(t, shared.Key, tenant).CreateApiKeyWithResponse(t.Context(), nil, mailtura.CreateAPIKey{Name: "x"})
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, http.StatusOK, status(t, other, made.JSON201.Key, ""))
	}
	revoked, err := c.RevokeApiKeyWithResponse(t.Context(), made.JSON201.Id, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, revoked.StatusCode())
	began := time.Now()
	require.Eventually(t, func() bool { return status(t, other, made.JSON201.Key, "") == http.StatusUnauthorized }, 60*time.Second, 5*time.Millisecond)
	t.Logf("refused by the other process after %s", time.Since(began))
}

// A key that is good in a network only is good there, by way of a proxy too, and not where
// somebody says that he is there. Who tries keys is slowed, and his neighbours are not.
func TestKeys_NetworksAndAttempts(t *testing.T) {
	t.Parallel()
	tenant, _ := shared.newTenant(t, mailtura.Settings{})
	proxied := shared.second(t, "MAILTURA_TRUSTED_PROXIES=127.0.0.0/8,::1/128")
	made, err := shared.client(t, shared.Key, tenant).CreateApiKeyWithResponse(t.Context(), nil, mailtura.CreateAPIKey{
		Name: "x", AllowedCidrs: &[]string{"203.0.113.0/24"},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	key := made.JSON201.Key
	require.Equal(t, http.StatusOK, status(t, proxied, key, "198.51.100.1, 203.0.113.7"))
	require.Equal(t, http.StatusForbidden, status(t, proxied, key, "203.0.113.7, 198.51.100.1"))
	require.Equal(t, http.StatusForbidden, status(t, proxied, key, ""))
	require.Equal(t, http.StatusForbidden, status(t, shared.URL, key, "203.0.113.7"), "it trusts no proxy")

	unbounded := shared.newKey(t, tenant)
	require.Eventually(t, func() bool {
		return status(t, proxied, apikey.New(apikey.Tenant).Text(), "192.0.2.66") == http.StatusTooManyRequests
	}, 60*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, status(t, proxied, unbounded, "192.0.2.67"))
	require.Equal(t, http.StatusOK, status(t, proxied, unbounded, "192.0.2.66"), "it was right before")
}

// No key is in a log, in a trace or in Temporal, wherever it was put.
func TestKeys_AreInNoLog(t *testing.T) {
	t.Parallel()
	s := beside(t)
	received := &spans{}
	otlp := httptest.NewServer(received)
	t.Cleanup(otlp.Close)
	process, err := s.Launch("serve", "MAILTURA_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT="+otlp.URL,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_METRICS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=200")
	require.NoError(t, err)
	t.Cleanup(process.Stop)
	tenant, c := s.newTenant(t, mailtura.Settings{})
	key := s.newKey(t, tenant)
	misplaced := misplaceKeys(t, s.URL, key, s.Key, tenant)
	send(t, c, mailtura.SendEmail{To: to("x@example.com"), Subject: ptr("Hi"), Text: ptr("Hi")})
	s.await(t, "x@example.com", 1, 60*time.Second)
	process.Stop() // and so flush

	everything := map[string][]byte{"traces": received.text(t), "Temporal": s.histories(t)}
	logs, err := filepath.Glob(filepath.Join(s.Dir, "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, name := range logs {
		everything[name], err = os.ReadFile(name)
		require.NoError(t, err)
	}
	var found []string
	for where, text := range everything {
		require.NotEmpty(t, text, where)
		for _, secret := range append(misplaced, key, s.Key) {
			if at := bytes.Index(text, []byte(secret[len(secret)-43:])); at >= 0 {
				found = append(found, fmt.Sprintf("%s: %q", where, text[max(0, at-100):at]))
			}
		}
	}
	require.Empty(t, found)
}

// misplaceKeys puts keys where they do not belong, and gives them.
func misplaceKeys(t *testing.T, api, key, operator, tenant string) (misplaced []string) {
	t.Helper()
	fresh := func() string {
		misplaced = append(misplaced, apikey.New(apikey.Tenant).Text())
		return misplaced[len(misplaced)-1]
	}
	ask := func(method, path, body string, headers ...string) {
		r, err := http.NewRequestWithContext(t.Context(), method, api+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+key)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
	}
	const emails = "/api/v1/emails"
	ask("GET", emails, "", "Authorization", "Bearer "+fresh())
	ask("GET", emails, "", "Authorization", "Basic "+fresh())
	ask("GET", emails, "", "Authorization", fresh())
	ask("GET", emails+"?key="+fresh(), "")
	ask("GET", emails+"?after="+fresh(), "")
	ask("GET", emails+"?tag="+url.QueryEscape(fresh()), "")
	ask("GET", emails+"/"+fresh(), "")
	ask("GET", "/"+fresh(), "")
	ask("GET", "/api/v1/templates/"+fresh(), "")
	for _, header := range []string{"X-Request-Id", "X-Tenant-ID", "X-Audit-Note", "Idempotency-Key", "User-Agent", "Traceparent", "Tracestate", "Baggage", "If-Match", "Referer", "X-Forwarded-For", "Cookie"} {
		value := fresh()
		if header == "Baggage" || header == "Tracestate" {
			value = "tenant.id=" + value
		}
		ask("POST", "/api/v1/templates", fmt.Sprintf(`{"name":"t%d","text":"x"}`, len(misplaced)), header, value)
		ask("GET", "/api/v1/tenants", "", header, value, "Authorization", "Bearer "+operator)
		ask("POST", emails, `{"to":"a@example.com","subject":"x","text":"x","class":"x"}`, header, value)
	}
	ask("GET", emails, "", "X-Tenant-ID", fresh(), "Authorization", "Bearer "+operator)
	for _, body := range []string{
		`{"to":"%s@example.com","subject":"x","text":"x"}`, `{"to":"%s","subject":"x","text":"x"}`, `{"to":"a@example.com","subject":"%s","text":"x"}`,
		`{"to":"a@example.com","template":"%s"}`, `{"to":"a@example.com","subject":"x","text":"x","tags":["%s"]}`, `{"%s":1}`, `%s`,
		`{"to":"a@example.com","subject":"x","text":"x","from":"%s@bank.com"}`, `{"to":"a@example.com","subject":"x","text":"{{%s","variables":{}}`,
	} {
		ask("POST", emails, fmt.Sprintf(body, fresh()))
	}
	ask("POST", "/api/v1/api-keys", fmt.Sprintf(`{"name":"%s"}`, fresh()))
	ask("POST", "/api/v1/templates", fmt.Sprintf(`{"name":"%s","text":"x"}`, fresh()))
	ask("DELETE", "/api/v1/api-keys/"+fresh(), "")
	for _, body := range []string{`{"name":"%s","domain":"acme.com"}`, `{"id":"%s","name":"x","domain":"acme.com"}`, `{"name":"x","domain":"%s"}`} {
		ask("POST", "/api/v1/tenants", fmt.Sprintf(body, fresh()), "Authorization", "Bearer "+operator)
	}
	ask("PATCH", "/api/v1/tenants/"+tenant, fmt.Sprintf(`{"settings":{"fromName":"%s"}}`, fresh()), "Authorization", "Bearer "+operator)
	return misplaced
}

// text is all that was received.
func (s *spans) text(t *testing.T) (all []byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		raw, err := proto.Marshal(span)
		require.NoError(t, err)
		all = append(all, raw...)
	}
	return all
}

// histories are those of all workflows, with what is shown of them.
func (s *stack) histories(t *testing.T) (all []byte) {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.Temporal.Address, Namespace: s.Name})
	require.NoError(t, err)
	defer c.Close()
	list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: s.Name, PageSize: 1000})
	require.NoError(t, err)
	require.NotEmpty(t, list.GetExecutions())
	for _, execution := range list.GetExecutions() {
		all = append(all, execution.String()...)
		events := c.GetWorkflowHistory(t.Context(), execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId(),
			false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			raw, err := proto.Marshal(event)
			require.NoError(t, err)
			all = append(all, raw...)
		}
	}
	return all
}
