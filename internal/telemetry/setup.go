package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Setup installs the providers that the standard OTEL_* environment asks for
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Without OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER there are no traces, and
// likewise for metrics: a program that nobody listens to should not knock on a port.
// Traces go out as redact leaves their texts. The result flushes and stops them.
func Setup(ctx context.Context, version string, redact func(string) string) (shutdown func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "mailtura"),
		attribute.String("service.version", version),
	), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe process: %w", err)
	}
	var stops []func(context.Context) error
	if asked("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("set up traces: %w", err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res),
			sdktrace.WithSpanProcessor(tenantTagger{}), sdktrace.WithBatcher(redacting{exporter, redact}))
		otel.SetTracerProvider(provider)
		stops = append(stops, provider.Shutdown)
	}
	if asked("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("set up metrics: %w", err)
		}
		provider := metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader))
		otel.SetMeterProvider(provider)
		stops = append(stops, provider.Shutdown)
	}
	return func(ctx context.Context) error {
		var all error
		for _, stop := range stops {
			all = errors.Join(all, stop(ctx))
		}
		return all
	}, nil
}

// TracesAsked reports whether the environment asks for traces.
func TracesAsked() bool { return asked("TRACES") }

func asked(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// tenantTagger writes the tenant of the context on every span that starts.
type tenantTagger struct{}

var _ sdktrace.SpanProcessor = tenantTagger{}

func (tenantTagger) OnStart(parent context.Context, span sdktrace.ReadWriteSpan) {
	if tenant := Tenant(parent); tenant != "" {
		span.SetAttributes(attribute.String(TenantID, tenant))
	}
}
func (tenantTagger) OnEnd(sdktrace.ReadOnlySpan)      {}
func (tenantTagger) Shutdown(context.Context) error   { return nil }
func (tenantTagger) ForceFlush(context.Context) error { return nil }
