package apiserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/telemetry"
)

const (
	// maxBody is the largest request body: an email of 25 MiB with what JSON adds.
	maxBody = 26 << 20
	// defaultBody is the largest body of an operation that does not say another limit.
	defaultBody = 1 << 20
	// maxDrain is how much of a larger body is read before it is refused, so that a client
	// that sends first and reads later gets to see the answer.
	maxDrain = 64 << 20
)

// trace starts the span of a request, and names it after the route once that is known.
func (s *Server) trace(next http.Handler) http.Handler {
	named := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if route := chi.RouteContext(r.Context()).RoutePattern(); route != "" {
			span := trace.SpanFromContext(r.Context())
			span.SetName(r.Method + " " + route)
			span.SetAttributes(attribute.String("http.route", route))
		}
	})
	traced := otelhttp.NewHandler(named, "http", otelhttp.WithFilter(func(r *http.Request) bool {
		return r.URL.Path != "/healthz" && r.URL.Path != "/readyz"
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Baggage") // it says whose work it is, which no caller decides
		traced.ServeHTTP(w, r)
	})
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// identify gives the request an id: the caller's X-Request-Id when it is fit to be logged.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestID := r.Header.Get("X-Request-Id")
		if !requestIDForm.MatchString(requestID) || apikey.RedactText(requestID) != requestID {
			requestID = id.Request.NewString()
		}
		ctx := context.WithValue(telemetry.WithRequest(r.Context(), requestID), logKey{}, s.log)
		trace.SpanFromContext(ctx).SetAttributes(attribute.String(telemetry.RequestID, requestID))
		w.Header().Set("X-Request-Id", requestID)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recoverPanics answers a panic like any other error of ours.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v) //nolint:forbidigo // net/http's own way to cut a connection
			default:
				s.log.ErrorContext(r.Context(), "panic", slog.Any("value", v), slog.String("stack", string(debug.Stack())))
				writeProblem(w, internalProblem(r.Context()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, newProblem(r.Context(), http.StatusNotFound, "not_found", "There is nothing at this path."))
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, newProblem(r.Context(), http.StatusMethodNotAllowed, "method_not_allowed",
		"This path does not know the method "+r.Method+"."))
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}
