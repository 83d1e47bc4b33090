package smtpout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// Envelope is the sender and the recipient of a hand-over (RFC 5321 §2.3.1).
type Envelope struct {
	From, To string
	UTF8     bool // needs SMTPUTF8 (RFC 6531)
}

// Attempt is what happened in one hand-over.
type Attempt struct {
	Peer     string // address of the server
	TLS      bool
	Phase    outcome.Phase // where it ended
	Reply    outcome.Reply // Code 0: none was received
	Started  time.Time
	Duration time.Duration
	// NotAccepted: it is certain that the server did not take the message.
	NotAccepted bool
	// NotTried: no server could be tried, and nothing happened.
	NotTried bool
	Dialogue string // what both sides said, a line each, without the message
	Err      error  // what went wrong on the network; private
}

// Result says what the attempt means. A message that was sent in full without an answer
// is Unknown: the server may have taken it.
func (a Attempt) Result() outcome.Result {
	if a.Reply.Code == 0 && !a.NotAccepted {
		return outcome.Result{Verdict: outcome.Unknown, Category: outcome.Network}
	}
	return outcome.Classify(a.Phase, a.Reply)
}

// Relay sends over one mail server. It is safe for concurrent use.
type Relay struct {
	cfg  Config
	log  *slog.Logger
	pool *puddle.Pool[*conn]
}

// New makes a relay. It connects when the first message is sent.
func New(cfg Config, log *slog.Logger) (*Relay, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, log: log}
	r.pool, err = puddle.NewPool(&puddle.Config[*conn]{
		Constructor: r.dial,
		Destructor:  func(c *conn) { _ = c.close() },
		MaxSize:     int32(min(cfg.MaxConns, 1000)),
	})
	if err != nil {
		return nil, fmt.Errorf("make connection pool: %w", err)
	}
	return r, nil
}

// Close closes the connections; it waits for messages that are under way.
func (r *Relay) Close() { r.pool.Close() }

// Send hands a message to the server and reports what happened. A pooled connection that
// turns out to be dead before it took anything is replaced once, unseen by the caller.
func (r *Relay) Send(ctx context.Context, env Envelope, msg []byte) Attempt {
	started := time.Now()
	a := r.send(ctx, env, msg)
	a.Started, a.Duration = started, time.Since(started)
	return a
}

func (r *Relay) send(ctx context.Context, env Envelope, msg []byte) Attempt {
	if err := checkLines(msg); err != nil {
		return Attempt{Phase: outcome.Data, NotAccepted: true, Err: err, Reply: outcome.Reply{Code: 554, Enhanced: "5.6.0", Text: err.Error()}}
	}
	for {
		res, err := r.acquire(ctx)
		if err != nil {
			return dialAttempt(err)
		}
		c := res.Value()
		fresh := c.sent == 0
		a, reusable := r.converse(ctx, c, env, msg)
		c.sent++
		c.lastUsed = time.Now()
		if reusable && c.sent < r.cfg.MaxPerConn {
			res.Release()
		} else {
			res.Destroy()
		}
		if stale := !fresh && a.Phase == outcome.Mail && (a.Reply.Code == 0 || a.Reply.Code == 421); !stale || ctx.Err() != nil {
			return a
		}
	}
}

// acquire takes a connection of the pool that has not been idle for too long.
func (r *Relay) acquire(ctx context.Context) (*puddle.Resource[*conn], error) {
	for {
		res, err := r.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		if time.Since(res.Value().lastUsed) < r.cfg.IdleTimeout {
			return res, nil
		}
		res.Destroy()
	}
}

func dialAttempt(err error) Attempt {
	a := Attempt{Phase: outcome.Connect, NotAccepted: true, Err: err}
	var failed *dialError
	if errors.As(err, &failed) {
		a.Phase, a.Peer, a.Dialogue = failed.phase, failed.peer, failed.dialogue
	}
	a.Reply, _ = replyOf(err)
	return a
}

// converse sends one message. reusable says that the connection can take another.
func (r *Relay) converse(ctx context.Context, c *conn, env Envelope, msg []byte) (a Attempt, reusable bool) {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	defer stop()
	a = Attempt{Peer: c.peer, TLS: c.tls, NotAccepted: true}
	defer func() { a.Dialogue = c.said.take() }()
	if refusal, refused := locally(c, env, msg); refused {
		a.Phase, a.Reply = outcome.Mail, refusal
		return a, true
	}
	var err error
	if a.Phase, err = c.envelope(env, len(msg)); err != nil {
		return a, a.refused(c, err)
	}
	if err = c.deadline(r.cfg.DataTimeout); err == nil {
		err = c.write(msg)
	}
	if err != nil {
		a.Err = err
		return a, false
	}
	a.Phase, a.NotAccepted = outcome.Body, false
	if err = c.finish(); err == nil {
		a.Reply, err = c.answer(2)
	}
	if err != nil {
		reusable = a.refused(c, err)
		a.NotAccepted = a.Reply.Code != 0
		return a, reusable
	}
	return a, true
}

// refused notes why a step failed, and reports whether the connection can take another message.
func (a *Attempt) refused(c *conn, err error) (reusable bool) {
	reply, answered := replyOf(err)
	if a.Reply = reply; !answered {
		a.Err = err
		return false
	}
	return reply.Code != 421 && c.reset() == nil
}

// locally finds what the server is known not to take.
func locally(c *conn, env Envelope, msg []byte) (outcome.Reply, bool) {
	if env.UTF8 && !c.offers("SMTPUTF8") {
		return outcome.Reply{Code: 553, Enhanced: "5.6.7", Text: "the mail server does not take addresses beyond ASCII (SMTPUTF8)"}, true
	}
	if limit := c.maxSize(); limit > 0 && len(msg) > limit {
		return outcome.Reply{Code: 552, Enhanced: "5.3.4", Text: fmt.Sprintf("the mail server takes messages of at most %d bytes", limit)}, true
	}
	return outcome.Reply{}, false
}

// checkLines refuses a message with a bare CR or LF, which servers read differently
// (SMTP smuggling), or with a line that is too long.
func checkLines(msg []byte) error {
	for len(msg) > 0 {
		end := bytes.IndexAny(msg, "\r\n")
		if end < 0 {
			end = len(msg)
		}
		if end > 998 {
			return errors.New("the message has a line of over 998 octets")
		}
		if end == len(msg) {
			return nil
		}
		if msg[end] != '\r' || end+1 >= len(msg) || msg[end+1] != '\n' {
			return errors.New("the message has a line that does not end with CR LF")
		}
		msg = msg[end+2:]
	}
	return nil
}
