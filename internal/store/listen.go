package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// listenBeat is how often a connection that is silent is asked whether it is still there, and
	// how long it has to answer: a change is heard of, or the silence is known, within 0.8 s.
	listenBeat = 400 * time.Millisecond
	// listenAgain is how long to wait before another connection is tried.
	listenAgain = 200 * time.Millisecond
)

// ListenToChanges calls heard after every change of a key or a tenant by any process, until the
// context ends, with whether further ones are heard of: false when the connection is gone, true
// when it is there again. It keeps one connection of its own.
func (s *Store) ListenToChanges(ctx context.Context, log *slog.Logger, heard func(listening bool)) {
	for told := false; ctx.Err() == nil; {
		err := s.listen(ctx, func() {
			if told {
				log.Info("changes of keys and tenants are heard of again")
			}
			told = false
			heard(true)
		})
		heard(false)
		if ctx.Err() == nil && !told {
			told = true
			log.Warn("changes of keys and tenants are not heard of; what is known of them is asked for more often", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

// listen listens until the connection fails.
func (s *Store) listen(ctx context.Context, heard func()) error {
	cfg := s.system.Config().ConnConfig
	cfg.Tracer = nil // a span for each beat tells nothing
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // there is nothing on it
	if _, err := conn.Exec(ctx, "LISTEN mailtura_known"); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	heard()
	for {
		wait, cancel := context.WithTimeout(ctx, listenBeat)
		_, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			heard()
		case ctx.Err() != nil:
			return ctx.Err()
		case wait.Err() == nil:
			return fmt.Errorf("listen: %w", err)
		default:
			if err := beat(ctx, conn); err != nil {
				return fmt.Errorf("listen: %w", err)
			}
		}
	}
}

// beat asks the connection whether it is still there.
func beat(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, listenBeat)
	defer cancel()
	return conn.Ping(ctx)
}
