package smtpout

import (
	"bufio"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// standIn is a mail server that answers at once, and counts its connections.
type standIn struct {
	net.Listener
	conns atomic.Int64
	rcpt  string // answer to RCPT
}

func newStandIn(t *testing.T, address, rcpt string) *standIn {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s := &standIn{Listener: l, rcpt: rcpt}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return s
}

func (s *standIn) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a test's connection
	say := func(line string) { _, _ = conn.Write([]byte(line + "\r\n")) }
	say("220 ready")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
		case "RCPT":
			say(s.rcpt)
		case "DATA":
			say("354 go")
			for lines.Scan() && lines.Text() != "." { //nolint:revive // the message is nothing to us
			}
			say("250 taken")
		default:
			say("250 ok")
		}
	}
}

func (s *standIn) relay(t *testing.T) *Relay {
	t.Helper()
	return relayTo(t, s.Addr().String())
}

func relayTo(t *testing.T, address string) *Relay {
	t.Helper()
	r, err := ParseURL("smtp://" + address + "?security=none")
	require.NoError(t, err)
	relay, err := New(r, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return relay
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().String()
}

func newRelays(t *testing.T, relays ...*Relay) *Relays {
	t.Helper()
	r := NewRelays(relays...)
	t.Cleanup(r.Close)
	return r
}

func (r *Relays) try(t *testing.T) Attempt {
	t.Helper()
	return r.Send(t.Context(), Envelope{From: "a@acme.com", To: "b@example.com"}, []byte("Subject: Hi\r\n\r\nHi\r\n"))
}

func TestRelays_FailOverWhenNothingWasOffered(t *testing.T) {
	t.Parallel()
	second := newStandIn(t, "127.0.0.1:0", "250 ok")
	r := newRelays(t, relayTo(t, nobody(t)), second.relay(t))
	for range 5 {
		a := r.try(t)
		require.Equal(t, outcome.Accepted, a.Result().Verdict)
		require.Equal(t, second.Addr().String(), a.Peer)
	}
	require.False(t, r.ReadyAt().After(time.Now()), "the second takes everything")
}

func TestRelays_NoFailOverAfterAnAnswer(t *testing.T) {
	t.Parallel()
	first, second := newStandIn(t, "127.0.0.1:0", "550 5.1.1 no such user"), newStandIn(t, "127.0.0.1:0", "250 ok")
	a := newRelays(t, first.relay(t), second.relay(t)).try(t)
	require.Equal(t, outcome.Bounced, a.Result().Verdict)
	require.Zero(t, second.conns.Load())
}

func TestRelays_DeadOneIsLeftAloneAndTriedAgain(t *testing.T) {
	t.Parallel()
	address := nobody(t)
	r := newRelays(t, relayTo(t, address))
	now := time.Now()
	r.relays[0].now = func() time.Time { return now }
	for range tripAfter {
		a := r.try(t)
		require.False(t, a.NotTried)
		require.Equal(t, outcome.Deferred, a.Result().Verdict)
	}
	a := r.try(t)
	require.True(t, a.NotTried)
	require.True(t, a.NotAccepted)
	require.Equal(t, now.Add(firstPause), r.ReadyAt())

	now = r.ReadyAt()
	require.False(t, r.try(t).NotTried, "one to see")
	require.Equal(t, now.Add(2*firstPause), r.ReadyAt(), "the pause doubles")
	for range 10 {
		now = r.ReadyAt()
		r.try(t)
	}
	require.Equal(t, now.Add(longestPause), r.ReadyAt())

	newStandIn(t, address, "250 ok")
	now = r.ReadyAt()
	require.Equal(t, outcome.Accepted, r.try(t).Result().Verdict)
	require.False(t, r.ReadyAt().After(now))
	require.False(t, r.try(t).NotTried)
}

func TestRelays_OneProbeAtATime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	g := &guarded{now: func() time.Time { return now }}
	for range tripAfter {
		require.True(t, g.enter())
		g.leave(false, false)
	}
	require.False(t, g.enter())
	now = now.Add(firstPause)
	require.True(t, g.enter())
	require.False(t, g.enter(), "the first is still under way")
	require.True(t, g.readyAt().After(now))
	g.leave(false, true)
	require.True(t, g.enter(), "one that was given up tells nothing")
}
