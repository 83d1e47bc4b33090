package smtpout

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// conn is a connection on which a message can be sent.
type conn struct {
	*client
	raw      net.Conn
	peer     string
	tls      bool
	sent     int // messages over it
	lastUsed time.Time
}

// dialError says in which phase a connection could not be made ready.
type dialError struct {
	phase    outcome.Phase
	peer     string
	dialogue string
	err      error
}

func (e *dialError) Error() string { return fmt.Sprintf("%s: %v", e.phase, e.err) }
func (e *dialError) Unwrap() error { return e.err }

// dial makes a connection ready: TCP, greeting, TLS and login as configured. Where TLS is
// opportunistic and fails, it goes on without (RFC 7435), unless there is a password to protect.
func (r *Relay) dial(ctx context.Context) (*conn, error) {
	c, err := r.connect(ctx, r.cfg.Security)
	var failed *dialError
	if r.cfg.Security == Opportunistic && r.cfg.Username == "" && errors.As(err, &failed) && failed.phase == outcome.TLS && ctx.Err() == nil {
		r.log.WarnContext(ctx, "goes on without TLS", slog.String("peer", failed.peer), slog.Any("error", err))
		return r.connect(ctx, None)
	}
	return c, err
}

func (r *Relay) connect(ctx context.Context, security Security) (*conn, error) {
	address := net.JoinHostPort(r.cfg.Host, strconv.Itoa(r.cfg.Port))
	dialer := net.Dialer{Timeout: r.cfg.ConnectTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &dialError{phase: outcome.Connect, peer: address, err: err}
	}
	c := &conn{raw: raw, peer: raw.RemoteAddr().String()}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if phase, err := r.prepare(ctx, c, security); err != nil {
		failed := &dialError{phase: phase, peer: c.peer, err: err}
		if c.client != nil {
			failed.dialogue = c.said.take()
		}
		_ = raw.Close()
		return nil, failed
	}
	c.lastUsed = time.Now() // a server that was slow so far is not idle
	return c, nil
}

// prepare takes a connection to where a message can be sent, and says in which phase it
// could not.
func (r *Relay) prepare(ctx context.Context, c *conn, security Security) (outcome.Phase, error) {
	stream := c.raw
	if security == TLS {
		secured := tls.Client(c.raw, r.tlsConfig())
		if err := r.handshake(ctx, secured); err != nil {
			return outcome.TLS, err
		}
		stream, c.tls = secured, true
	}
	c.client = newClient(stream, r.cfg.CommandTimeout)
	if err := c.greet(); err != nil {
		return outcome.Connect, err
	}
	if err := c.hello(r.cfg.HELO); err != nil {
		return outcome.Ehlo, err
	}
	if security == StartTLS || (security == Opportunistic && c.offers("STARTTLS")) {
		if err := r.startTLS(ctx, c); err != nil {
			return outcome.TLS, err
		}
		if err := c.hello(r.cfg.HELO); err != nil {
			return outcome.Ehlo, err
		}
	}
	if r.cfg.Username != "" {
		if err := c.login(r.cfg.Username, r.cfg.Password); err != nil {
			return outcome.Auth, err
		}
	}
	return "", nil
}

// startTLS takes the connection to TLS (RFC 3207). What the server said in clear is
// forgotten, and what it sent ahead, which anybody could have, ends the connection.
func (r *Relay) startTLS(ctx context.Context, c *conn) error {
	if err := c.ask(2, "STARTTLS"); err != nil {
		return err
	}
	if c.r.Buffered() > 0 {
		return fmt.Errorf("the mail server sent %d bytes in clear after STARTTLS", c.r.Buffered())
	}
	secured := tls.Client(c.raw, r.tlsConfig())
	if err := r.handshake(ctx, secured); err != nil {
		return err
	}
	said := c.said
	c.client, c.tls = newClient(secured, r.cfg.CommandTimeout), true
	c.said = said
	return nil
}

func (r *Relay) handshake(ctx context.Context, c *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CommandTimeout)
	defer cancel()
	return c.HandshakeContext(ctx)
}

// tlsConfig checks the certificate, but for opportunistic TLS, which protects against
// listening only (RFC 7435).
func (r *Relay) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName: r.cfg.Host, RootCAs: r.cfg.RootCAs, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: r.cfg.Security == Opportunistic, //nolint:gosec // see above
	}
}
