package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// redacting exports spans without secrets: paths and headers have what callers put there.
type redacting struct {
	sdktrace.SpanExporter
	redact func(string) string
}

var _ sdktrace.SpanExporter = redacting{}

// ExportSpans exports the spans, redacted.
func (r redacting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	clean := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		clean[i] = redacted{span, r.redact}
	}
	return r.SpanExporter.ExportSpans(ctx, clean)
}

// redacted is a span without secrets.
type redacted struct {
	sdktrace.ReadOnlySpan
	redact func(string) string
}

// Name is the name, redacted.
func (r redacted) Name() string { return r.redact(r.ReadOnlySpan.Name()) }

// Attributes are the attributes, redacted.
func (r redacted) Attributes() []attribute.KeyValue { return r.clean(r.ReadOnlySpan.Attributes()) }

// Events are the events, redacted.
func (r redacted) Events() []sdktrace.Event {
	events := r.ReadOnlySpan.Events()
	clean := make([]sdktrace.Event, len(events))
	for i, e := range events {
		e.Name, e.Attributes = r.redact(e.Name), r.clean(e.Attributes)
		clean[i] = e
	}
	return clean
}

// Status is the status, redacted.
func (r redacted) Status() sdktrace.Status {
	s := r.ReadOnlySpan.Status()
	s.Description = r.redact(s.Description)
	return s
}

func (r redacted) clean(attributes []attribute.KeyValue) []attribute.KeyValue {
	clean := make([]attribute.KeyValue, len(attributes))
	for i, a := range attributes {
		if a.Value.Type() == attribute.STRING {
			a.Value = attribute.StringValue(r.redact(a.Value.AsString()))
		}
		clean[i] = a
	}
	return clean
}
