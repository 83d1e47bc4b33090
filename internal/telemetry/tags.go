// Package telemetry sets up traces, metrics and logs, and holds the names under which
// they tell what they are about. Every other package may import it; it imports none.
//
// The tenant travels in the context as OpenTelemetry baggage, so that it follows a
// request through Temporal into activities, and a span processor writes it on every
// span as tenant.id.
package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Names of span attributes and log fields.
const (
	TenantID     = "tenant.id"
	EmailID      = "email.id"
	RecipientID  = "recipient.id"
	DispatchID   = "dispatch.id"
	DispatchSize = "dispatch.emails"
	RequestID    = "request.id"
	SMTPCode     = "smtp.code"
	SMTPEnhanced = "smtp.enhanced_code"
	SMTPPhase    = "smtp.phase"
	PeerAddress  = "network.peer.address"
	Verdict      = "delivery.verdict"
)

// WithTenant marks everything that is done under the context as work for the tenant,
// and the current span too.
func WithTenant(ctx context.Context, tenantID string) context.Context {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String(TenantID, tenantID))
	member, err := baggage.NewMember(TenantID, tenantID)
	if err != nil {
		return ctx
	}
	bag, err := baggage.FromContext(ctx).SetMember(member)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// Tenant is the tenant for which work under the context is done; empty when none is.
func Tenant(ctx context.Context) string {
	return baggage.FromContext(ctx).Member(TenantID).Value()
}

type requestKey struct{}

// WithRequest keeps the id of the API request in the context.
func WithRequest(ctx context.Context, requestID string) context.Context {
	return context.WithValue(ctx, requestKey{}, requestID)
}

// Request is the id of the API request under which work is done; empty outside of one.
func Request(ctx context.Context) string {
	s, _ := ctx.Value(requestKey{}).(string)
	return s
}

// TraceParent is the context's span as a W3C traceparent; empty when it is not sampled.
func TraceParent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// WithTraceParent makes spans under the context children of a W3C traceparent.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	if traceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceParent})
}
