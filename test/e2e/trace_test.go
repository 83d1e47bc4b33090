package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// spans is a collector of traces: OTLP over HTTP.
type spans struct {
	mu  sync.Mutex
	all []*tracepb.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(raw, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.all = append(s.all, scope.GetSpans()...)
		}
	}
}

// trace gives the spans of one trace.
func (s *spans) trace(id []byte) (found []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if slices.Equal(span.GetTraceId(), id) {
			found = append(found, span)
		}
	}
	return found
}

func attribute(span *tracepb.Span, key string) string {
	for _, a := range span.GetAttributes() {
		if a.GetKey() == key {
			if a.GetValue().GetStringValue() != "" {
				return a.GetValue().GetStringValue()
			}
			return a.GetValue().String()
		}
	}
	return ""
}

// One trace leads from the HTTP request through workflow and activity to the SMTP answer,
// and each of its spans says whose it is.
func TestTrace_FromRequestToSMTP(t *testing.T) {
	t.Parallel()
	s := beside(t)
	received := &spans{}
	otlp := httptest.NewServer(received)
	t.Cleanup(otlp.Close)
	api, err := s.Launch("serve", "OTEL_EXPORTER_OTLP_ENDPOINT="+otlp.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_METRICS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=200")
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	tenant, _ := s.newTenant(t, mailtura.Settings{})
	traceID, err := hex.DecodeString("0af7651916cd43dd8448eb211c80319c")
	require.NoError(t, err)
	key := s.newKey(t, tenant)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/emails",
		strings.NewReader(`{"to":"ada@example.com","subject":"Hi","text":"Hi"}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Forwarded-For", "203.0.113.9") // of no trusted proxy
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)

	want := []string{"POST /api/v1/emails", "dispatch", "StartWorkflow:SendEmails", "RunWorkflow:SendEmails", "RunActivity:Deliver", "smtp send"}
	var trace []*tracepb.Span
	require.Eventually(t, func() bool {
		trace = received.trace(traceID)
		for _, name := range want {
			if !slices.ContainsFunc(trace, func(span *tracepb.Span) bool { return span.GetName() == name }) {
				return false
			}
		}
		return true
	}, 60*time.Second, 100*time.Millisecond, "spans %v", want)
	byID := map[string]*tracepb.Span{}
	for _, span := range trace {
		byID[string(span.GetSpanId())] = span
	}
	for _, span := range trace {
		if span.GetName() == "smtp send" {
			require.Contains(t, attribute(span, "smtp.code"), "250")
			require.Equal(t, "accepted", attribute(span, "delivery.verdict"))
			require.NotEmpty(t, attribute(span, "network.peer.address"))
			require.Equal(t, "RunActivity:Deliver", byID[string(span.GetParentSpanId())].GetName())
		}
		require.True(t, attribute(span, "tenant.id") == tenant || findsOutWhose(byID, span), span.GetName())
	}
	root := slices.IndexFunc(trace, func(span *tracepb.Span) bool { return span.GetName() == "POST /api/v1/emails" })
	require.Equal(t, tenant, attribute(trace[root], "tenant.id"))
	require.Equal(t, "/api/v1/emails", attribute(trace[root], "http.route"))
	require.NotEmpty(t, attribute(trace[root], "request.id"))
	require.Equal(t, "127.0.0.1", attribute(trace[root], "client.address"), "nobody says another's")
}

// findsOutWhose reports whether a span is a statement right below the request, by which the
// server finds out whose key it is: until then it is work for nobody.
func findsOutWhose(byID map[string]*tracepb.Span, span *tracepb.Span) bool {
	parent := byID[string(span.GetParentSpanId())]
	return parent.GetName() == "POST /api/v1/emails" && slices.Contains([]string{"pool.acquire", "SELECT", "prepare", "connect"}, span.GetName())
}
