// Package temporalconn connects to Temporal, with traces and logs in our form.
package temporalconn

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
)

// Config says where Temporal is.
type Config struct {
	Address   string // host:port
	Namespace string
	Log       *slog.Logger
}

// Lazy makes a client that connects with its first call, so that a process starts, and
// accepts, while Temporal is away.
func Lazy(cfg Config) (client.Client, error) {
	options, err := options(cfg)
	if err != nil {
		return nil, err
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("make temporal client: %w", err)
	}
	return c, nil
}

// WaitUntilUp returns when Temporal answers, or the context ends.
func WaitUntilUp(ctx context.Context, c client.Client, log *slog.Logger) error {
	for told := false; ; {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := c.CheckHealth(attempt, &client.CheckHealthRequest{})
		cancel()
		if err == nil {
			return nil
		}
		if !told {
			log.Warn("temporal does not answer yet", slog.Any("error", err))
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for temporal: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func options(cfg Config) (client.Options, error) {
	tracing, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer:                  otel.Tracer("mailtura/temporal"),
		AllowInvalidParentSpans: true,
		DisableQueryTracing:     true,
	})
	if err != nil {
		return client.Options{}, fmt.Errorf("make tracing interceptor: %w", err)
	}
	return client.Options{
		HostPort:     cfg.Address,
		Namespace:    cfg.Namespace,
		Logger:       log.NewStructuredLogger(cfg.Log),
		Interceptors: []interceptor.ClientInterceptor{tracing},
		MetricsHandler: opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
			Meter:                otel.Meter("mailtura/temporal"),
			OnError:              func(err error) { cfg.Log.Warn("temporal metrics", slog.Any("error", err)) },
			UseMonotonicCounters: true,
		}),
	}, nil
}
