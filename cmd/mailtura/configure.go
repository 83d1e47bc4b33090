package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/store"
)

// readConfiguration reads the file of --config before anything else is done, so that a mistake
// in it ends the start at once.
func (a *app) readConfiguration(api *listening) (err error) {
	if api != nil && api.Config != "" {
		a.wanted, err = readConfiguration(api.Config)
	}
	return err
}

// applyConfiguration makes the installation what the file says, as mailtura apply does: through
// the API, which for that listens where nobody knows it.
func (a *app) applyConfiguration(ctx context.Context, handler http.Handler, api *listening) error {
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.ConfigurationFile, ID: api.Config})
	operatorKey := api.OperatorKey
	if operatorKey == "" {
		key := store.NewKey{Name: "configuration at start", Key: apikey.New(apikey.Operator)}
		end := time.Now().Add(time.Hour)
		key.ExpiresAt = &end
		made, err := a.store.CreateOperatorKey(ctx, key)
		if err != nil {
			return err
		}
		defer func() { _ = a.store.RevokeOperatorKey(context.WithoutCancel(ctx), made.ID) }() // or it ends by itself
		operatorKey = key.Key.Text()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("apply --config: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close() //nolint:errcheck // all requests are answered
	go func() { _ = server.Serve(listener) }()
	client, err := newOperatorAPI("http://"+listener.Addr().String(), operatorKey, "--config at start")
	if err != nil {
		return err
	}
	applied := applier{api: client, want: a.wanted, out: logWriter{a.log}}
	if err := applied.run(ctx); err != nil {
		return fmt.Errorf("apply --config: %w", err)
	}
	return nil
}

// logWriter logs what apply prints; in that, no value that is secret is ever shown.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Info("configuration is applied", slog.String("change", strings.TrimSpace(string(p))))
	return len(p), nil
}
