package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/primitives"
)

// ready is what the ready file says.
type ready struct {
	Address   string `json:"address"`
	UIURL     string `json:"uiUrl"`
	Namespace string `json:"namespace"`
}

// run runs server and UI until the context ends.
func run(ctx context.Context, f flags, out io.Writer) error {
	if f.PostgresURL != "" && f.SQLiteFile != "" {
		return errors.New("choose one of --postgres-url and --sqlite-file")
	}
	ports, err := choosePorts(f)
	if err != nil {
		return err
	}
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Level: f.LogLevel, Format: "json"}))
	store, err := openStore(ctx, f, logger)
	if err != nil {
		return err
	}
	server, err := newServer(f, ports, store, logger)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer func() { _ = server.Stop() }()
	address := net.JoinHostPort(f.IP, strconv.Itoa(ports.services[primitives.FrontendService]))
	if err := prepareNamespace(ctx, f, address); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	stopUI, err := startUI(ctx, f, ports, address)
	if err != nil {
		return err
	}
	defer stopUI()
	return serve(ctx, f, ready{Address: address, UIURL: ports.uiURL(f), Namespace: f.Namespace}, out)
}

// serve says that the server is ready, and waits for the end.
func serve(ctx context.Context, f flags, r ready, out io.Writer) error {
	if f.ReadyFile != "" {
		raw, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write ready file: %w", err)
		}
		if err := os.WriteFile(f.ReadyFile+".new", raw, 0o600); err != nil {
			return fmt.Errorf("write ready file: %w", err)
		}
		if err := os.Rename(f.ReadyFile+".new", f.ReadyFile); err != nil {
			return fmt.Errorf("write ready file: %w", err)
		}
		defer os.Remove(f.ReadyFile) //nolint:errcheck // it may be gone already
	}
	line := "temporal ready at " + r.Address
	if r.UIURL != "" {
		line += ", UI at " + r.UIURL
	}
	_, _ = fmt.Fprintf(out, "%s, namespace %s\n", line, r.Namespace)
	<-ctx.Done()
	return nil
}
