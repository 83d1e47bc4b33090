package smtpout

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// conn is a connection on which a message can be sent.
type conn struct {
	*smtp.Client
	raw      net.Conn
	peer     string
	tls      bool
	sent     int // messages over it
	lastUsed time.Time
}

// dialError says in which phase a connection could not be made ready.
type dialError struct {
	phase outcome.Phase
	peer  string
	err   error
}

func (e *dialError) Error() string { return fmt.Sprintf("%s: %v", e.phase, e.err) }
func (e *dialError) Unwrap() error { return e.err }

// dial makes a connection ready: TCP, greeting, TLS and login as configured.
func (r *Relay) dial(ctx context.Context) (*conn, error) {
	c, err := r.open(ctx, r.cfg.Security == StartTLS)
	if err != nil {
		return nil, err
	}
	if offered, _ := c.Extension("STARTTLS"); offered && r.cfg.Security == Opportunistic {
		_ = c.Close()
		if c, err = r.open(ctx, true); err != nil {
			return nil, err
		}
	}
	if r.cfg.Username != "" {
		if err := c.login(r.cfg.Username, r.cfg.Password); err != nil {
			_ = c.Close()
			return nil, &dialError{outcome.Auth, c.peer, err}
		}
	}
	c.lastUsed = time.Now() // a server that was slow so far is not idle
	return c, nil
}

// open connects and says hello, and where asked takes the connection to TLS by STARTTLS.
func (r *Relay) open(ctx context.Context, startTLS bool) (*conn, error) {
	address := net.JoinHostPort(r.cfg.Host, strconv.Itoa(r.cfg.Port))
	dialer := net.Dialer{Timeout: r.cfg.ConnectTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &dialError{outcome.Connect, address, err}
	}
	c := &conn{raw: raw, peer: raw.RemoteAddr().String()}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	switch {
	case r.cfg.Security == TLS:
		secured := tls.Client(raw, r.tlsConfig())
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &dialError{outcome.TLS, c.peer, err}
		}
		c.Client, c.tls = smtp.NewClient(secured), true
	case startTLS:
		_ = raw.SetDeadline(time.Now().Add(r.cfg.CommandTimeout))
		if c.Client, err = smtp.NewClientStartTLS(raw, r.tlsConfig()); err != nil {
			_ = raw.Close()
			return nil, &dialError{outcome.TLS, c.peer, err}
		}
		c.tls = true
	default:
		c.Client = smtp.NewClient(raw)
	}
	c.CommandTimeout, c.SubmissionTimeout = r.cfg.CommandTimeout, r.cfg.DataTimeout
	if err := c.Hello(r.cfg.HELO); err != nil {
		phase := outcome.Ehlo
		if state, secured := c.TLSConnectionState(); secured && !state.HandshakeComplete {
			phase = outcome.TLS // STARTTLS shakes hands when the first command is sent
		}
		_ = c.Close()
		return nil, &dialError{phase, c.peer, err}
	}
	return c, nil
}

// tlsConfig checks the certificate, but for opportunistic TLS, which protects against
// listening only (RFC 7435).
func (r *Relay) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName: r.cfg.Host, RootCAs: r.cfg.RootCAs, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: r.cfg.Security == Opportunistic, //nolint:gosec // see above
	}
}

func (c *conn) login(username, password string) error {
	if !c.SupportsAuth(sasl.Plain) && c.SupportsAuth(sasl.Login) {
		return c.Auth(sasl.NewLoginClient(username, password))
	}
	return c.Auth(sasl.NewPlainClient("", username, password))
}
