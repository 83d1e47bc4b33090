package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// startUI starts Temporal UI and returns when it answers. It looks for nothing outside of
// this machine.
func startUI(ctx context.Context, f flags, p ports, address string) (stop func(), err error) {
	if f.Headless {
		return func() {}, nil
	}
	ui := uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: address, Host: f.IP, Port: p.ui, EnableUI: true,
		DefaultNamespace: f.Namespace, DisableNewsFetch: true, HideLogs: true,
		CORS: uiconfig.CORS{CookieInsecure: true},
	}))
	go func() { _ = ui.Start() }() // on an error it ends the process itself
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(f.IP, strconv.Itoa(p.ui)))
		if err == nil {
			return ui.Stop, conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for Temporal UI: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
