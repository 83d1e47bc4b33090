package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/mailtura/mailtura/internal/telemetry"
)

// environment sets the OTEL_* variables to pairs of a name without that prefix and a
// value, and no others, and global providers that do nothing. The tests that use it
// change the process and are therefore not parallel.
func environment(t *testing.T, pairs ...string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv("OTEL_"+pairs[i], pairs[i+1])
	}
	reset := func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
	}
	reset()
	t.Cleanup(reset)
}

func TestSetup_DoesNothingUnasked(t *testing.T) { //nolint:paralleltest // it changes the process
	for _, pairs := range [][]string{
		{},
		{"TRACES_EXPORTER", "none", "METRICS_EXPORTER", "none", "EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
		{"SDK_DISABLED", "true", "TRACES_EXPORTER", "otlp", "EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
		{"SERVICE_NAME", "other"},
	} {
		environment(t, pairs...)
		traces, metrics := otel.GetTracerProvider(), otel.GetMeterProvider()
		shutdown, err := telemetry.Setup(t.Context(), "1.0", plain)
		require.NoError(t, err, pairs)
		require.False(t, telemetry.TracesAsked(), pairs)
		require.Equal(t, traces, otel.GetTracerProvider(), pairs)
		require.Equal(t, metrics, otel.GetMeterProvider(), pairs)
		require.NoError(t, shutdown(t.Context()), pairs)
	}
}

// Without traces of its own, a process still passes on those of others.
func TestSetup_Propagates(t *testing.T) { //nolint:paralleltest // it changes the process
	environment(t)
	_, err := telemetry.Setup(t.Context(), "1.0", plain)
	require.NoError(t, err)
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(telemetry.WithTenant(sampled(t.Context()), "acme-corp"), carrier)
	ctx := otel.GetTextMapPropagator().Extract(t.Context(), carrier)
	require.Equal(t, "acme-corp", telemetry.Tenant(ctx))
	require.Equal(t, telemetry.TraceParent(sampled(t.Context())), telemetry.TraceParent(ctx))
}

func TestSetup_UnknownExporter(t *testing.T) { //nolint:paralleltest // it changes the process
	environment(t, "TRACES_EXPORTER", "pigeon")
	_, err := telemetry.Setup(t.Context(), "1.0", plain)
	require.ErrorContains(t, err, "set up traces: ")
	environment(t, "TRACES_EXPORTER", "none", "METRICS_EXPORTER", "pigeon")
	_, err = telemetry.Setup(t.Context(), "1.0", plain)
	require.ErrorContains(t, err, "set up metrics: ")
}

// collector is where OTLP goes; it keeps what it is sent by path.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	sent map[string]string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{sent: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent[r.URL.Path] += string(body)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestSetup_SendsWhereItIsAsked(t *testing.T) { //nolint:paralleltest // it changes the process
	c := newCollector(t)
	environment(t, "EXPORTER_OTLP_ENDPOINT", c.URL, "EXPORTER_OTLP_PROTOCOL", "http/protobuf", "RESOURCE_ATTRIBUTES", "deployment.environment=test")
	require.True(t, telemetry.TracesAsked())
	shutdown, err := telemetry.Setup(t.Context(), "1.2.3", plain)
	require.NoError(t, err)

	ctx := telemetry.WithTenant(t.Context(), "acme-corp")
	_, span := otel.Tracer("test").Start(ctx, "of a tenant")
	span.End()
	counter, err := otel.Meter("test").Int64Counter("mailtura.test.counter")
	require.NoError(t, err)
	counter.Add(ctx, 1)
	require.NoError(t, shutdown(t.Context()), "it sends what is left")

	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range []string{"of a tenant", telemetry.TenantID, "acme-corp", "mailtura", "1.2.3", "deployment.environment"} {
		require.Contains(t, c.sent["/v1/traces"], part)
	}
	require.Contains(t, c.sent["/v1/metrics"], "mailtura.test.counter")
}

// A span that is there already when the tenant becomes known is marked as well.
func TestWithTenant_MarksTheSpan(t *testing.T) { //nolint:paralleltest // it changes the process
	c := newCollector(t)
	environment(t, "EXPORTER_OTLP_TRACES_ENDPOINT", c.URL+"/spans", "EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	shutdown, err := telemetry.Setup(t.Context(), "1.2.3", plain)
	require.NoError(t, err)
	ctx, span := otel.Tracer("test").Start(t.Context(), "request")
	require.NotEmpty(t, telemetry.TraceParent(ctx))
	require.Equal(t, span.SpanContext(), trace.SpanContextFromContext(telemetry.WithTenant(ctx, "late-tenant")))
	span.End()
	require.NoError(t, shutdown(t.Context()))
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Contains(t, c.sent["/spans"], "late-tenant")
	require.NotContains(t, c.sent, "/v1/metrics", "only traces were asked for")
}

// plain leaves texts as they are.
func plain(text string) string { return text }

// Whatever a span says goes out redacted, and nothing else of it changes.
func TestSetup_Redacts(t *testing.T) { //nolint:paralleltest // it changes the process
	c := newCollector(t)
	environment(t, "EXPORTER_OTLP_TRACES_ENDPOINT", c.URL+"/spans", "EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	redact := func(text string) string { return strings.ReplaceAll(text, "secret", "(hidden)") }
	shutdown, err := telemetry.Setup(t.Context(), "1.2.3", redact)
	require.NoError(t, err)
	_, span := otel.Tracer("test").Start(t.Context(), "name secret")
	span.SetAttributes(attribute.String("text", "attribute secret"), attribute.Int("number", 4711))
	span.AddEvent("event secret", trace.WithAttributes(attribute.String("detail", "detail secret")))
	span.SetStatus(codes.Error, "status secret")
	span.End()
	require.NoError(t, shutdown(t.Context()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, where := range []string{"name", "attribute", "event", "detail", "status"} {
		require.Contains(t, c.sent["/spans"], where+" (hidden)")
	}
	require.Contains(t, c.sent["/spans"], "number")
	require.NotContains(t, c.sent["/spans"], "secret")
}
