package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/mailtura/mailtura/internal/telemetry"
)

// sampled is a context with a span as it comes from another process.
func sampled(ctx context.Context) context.Context {
	return telemetry.WithTraceParent(ctx, "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01")
}

func line(t *testing.T, b *bytes.Buffer) map[string]any {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &fields), b.String())
	delete(fields, "time")
	return fields
}

func TestLogger_AddsWhatTheContextKnows(t *testing.T) {
	t.Parallel()
	ctx := telemetry.WithRequest(telemetry.WithTenant(sampled(t.Context()), "acme-corp"), "req_1")
	var b bytes.Buffer
	telemetry.NewLogger(&b, slog.LevelInfo, true).InfoContext(ctx, "sent", slog.Int("n", 1))
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "sent", "n": 1.0,
		"trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0102030405060708",
		telemetry.RequestID: "req_1", telemetry.TenantID: "acme-corp",
	}, line(t, &b))
}

func TestLogger_AddsNothingThatIsNotThere(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	telemetry.NewLogger(&b, slog.LevelInfo, true).InfoContext(t.Context(), "started")
	require.Equal(t, map[string]any{"level": "INFO", "msg": "started"}, line(t, &b))
}

func TestLogger_WithAttributes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, slog.LevelInfo, true).With(slog.String("part", "worker"))
	log.WarnContext(telemetry.WithTenant(t.Context(), "acme-corp"), "slow")
	require.Equal(t, map[string]any{"level": "WARN", "msg": "slow", "part": "worker", telemetry.TenantID: "acme-corp"}, line(t, &b))
}

func TestLogger_WithGroup(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, slog.LevelInfo, true).WithGroup("smtp")
	log.InfoContext(telemetry.WithRequest(t.Context(), "req_1"), "sent", slog.Int("code", 250))
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "sent", "smtp": map[string]any{"code": 250.0, telemetry.RequestID: "req_1"},
	}, line(t, &b))
}

func TestLogger_Level(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, slog.LevelWarn, true)
	log.InfoContext(t.Context(), "not shown")
	require.Empty(t, b.String())
	log.ErrorContext(t.Context(), "shown")
	require.NotEmpty(t, b.String())
}

func TestLogger_Text(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, slog.LevelDebug, false)
	log.DebugContext(telemetry.WithTenant(t.Context(), "acme-corp"), "sent it")
	require.Contains(t, b.String(), `level=DEBUG msg="sent it" tenant.id=acme-corp`)
}

func TestTenant_InContext(t *testing.T) {
	t.Parallel()
	require.Empty(t, telemetry.Tenant(t.Context()))
	ctx := telemetry.WithTenant(t.Context(), "acme-corp")
	require.Equal(t, "acme-corp", telemetry.Tenant(ctx))
	require.Equal(t, "other", telemetry.Tenant(telemetry.WithTenant(ctx, "other")), "the last one counts")
	require.Equal(t, "acme-corp", telemetry.Tenant(ctx))
	require.Equal(t, "acme-corp", telemetry.Tenant(telemetry.WithTenant(ctx, "\xff")), "what baggage can not carry is not set")
}

func TestRequest_InContext(t *testing.T) {
	t.Parallel()
	require.Empty(t, telemetry.Request(t.Context()))
	require.Equal(t, "req_1", telemetry.Request(telemetry.WithRequest(t.Context(), "req_1")))
}

func TestTraceParent_RoundTrip(t *testing.T) {
	t.Parallel()
	const parent = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
	ctx := telemetry.WithTraceParent(t.Context(), parent)
	span := trace.SpanContextFromContext(ctx)
	require.True(t, span.IsRemote())
	require.True(t, span.IsSampled())
	require.Equal(t, "0102030405060708090a0b0c0d0e0f10", span.TraceID().String())
	require.Equal(t, parent, telemetry.TraceParent(ctx))
}

func TestTraceParent_NotSampled(t *testing.T) {
	t.Parallel()
	require.Empty(t, telemetry.TraceParent(t.Context()))
	require.Empty(t, telemetry.TraceParent(telemetry.WithTraceParent(t.Context(), "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-00")))
	for _, parent := range []string{"", "nonsense", "00-00000000000000000000000000000000-0102030405060708-01", "00-01-02-01"} {
		ctx := telemetry.WithTraceParent(sampled(t.Context()), parent)
		require.Equal(t, telemetry.TraceParent(sampled(t.Context())), telemetry.TraceParent(ctx), "%q changes nothing", parent)
	}
}
