package smtpout_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
	"github.com/mailtura/mailtura/internal/smtpout"
)

func TestSend_HandsOver(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	r := newRelay(t, s.config())
	msg := "Subject: dots\r\n\r\n.\r\n..two\r\n.lead\r\nJürgen\r\n"
	before := time.Now()

	a := r.Send(t.Context(), envelope, []byte(msg))

	require.NoError(t, a.Err)
	require.Equal(t, outcome.Result{Verdict: outcome.Accepted}, a.Result())
	require.Equal(t, outcome.Body, a.Phase)
	require.Equal(t, 250, a.Reply.Code)
	require.Equal(t, "2.0.0", a.Reply.Enhanced)
	require.Contains(t, a.Reply.Text, "queued")
	require.Equal(t, s.Addr().String(), a.Peer)
	require.False(t, a.TLS)
	require.False(t, a.NotAccepted)
	require.WithinRange(t, a.Started, before, time.Now())
	require.Positive(t, a.Duration)
	require.Equal(t, []received{{from: envelope.From, to: envelope.To, body: msg}}, s.mails(), "byte for byte")
}

func TestSend_KeepsTheConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var verbs []string
	s := scripted(t, func(conn int, verb, line string) string {
		mu.Lock()
		verbs = append(verbs, verb)
		mu.Unlock()
		if verb == "RCPT" && strings.Contains(line, "nobody@") {
			return "550 5.1.1 No such user"
		}
		return usual(conn, verb, line)
	})
	r := newRelay(t, s.config())
	for to, want := range map[string]outcome.Verdict{"a@x.yz": outcome.Accepted, "nobody@x.yz": outcome.Bounced, "b@x.yz": outcome.Accepted} {
		a := r.Send(t.Context(), smtpout.Envelope{From: envelope.From, To: to}, message)
		require.Equal(t, want, a.Result().Verdict, to)
	}
	require.Equal(t, 1, s.conns())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, strings.Count(strings.Join(verbs, " "), "RCPT RSET"), "what was begun is taken back: %v", verbs)
}

func TestSend_MaxPerConn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	cfg := s.config()
	cfg.MaxPerConn = 2
	r := newRelay(t, cfg)
	for range 5 {
		require.Equal(t, outcome.Accepted, r.Send(t.Context(), envelope, message).Result().Verdict)
	}
	require.Equal(t, 3, s.conns())
}

func TestSend_IdleTimeout(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	cfg := s.config()
	cfg.IdleTimeout = 100 * time.Millisecond
	r := newRelay(t, cfg)
	require.Eventually(t, func() bool { // each finds the connection of the one before too old
		return r.Send(t.Context(), envelope, message).Result().Verdict == outcome.Accepted && s.conns() > 1
	}, 20*time.Second, 300*time.Millisecond)
}

// A server that lets its clients wait for the greeting is slow, not idle.
func TestSend_LateGreetingIsNotIdle(t *testing.T) {
	t.Parallel()
	s := scripted(t, func(conn int, verb, line string) string {
		if verb == "CONNECT" {
			<-time.After(700 * time.Millisecond)
		}
		return usual(conn, verb, line)
	})
	cfg := s.config()
	cfg.IdleTimeout = 500 * time.Millisecond
	require.Equal(t, outcome.Accepted, newRelay(t, cfg).Send(t.Context(), envelope, message).Result().Verdict)
	require.Equal(t, 1, s.conns())
}

func TestSend_MaxConns(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	cfg := s.config()
	cfg.MaxConns = 3
	r := newRelay(t, cfg)
	attempts := make(chan smtpout.Attempt, 40)
	var sending sync.WaitGroup
	for range cap(attempts) {
		sending.Go(func() { attempts <- r.Send(t.Context(), envelope, message) })
	}
	sending.Wait()
	for range cap(attempts) {
		require.Equal(t, outcome.Accepted, (<-attempts).Result().Verdict)
	}
	require.Len(t, s.mails(), cap(attempts))
	s.counter.mu.Lock()
	defer s.counter.mu.Unlock()
	require.LessOrEqual(t, s.peak, 3)
}

func TestSend_RefusedByMessageOrServerLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *relayServer) { s.smtp.MaxMessageBytes = 100 })
	r := newRelay(t, s.config())

	a := r.Send(t.Context(), envelope, []byte(strings.Repeat("0123456789\r\n", 10)))
	require.Equal(t, outcome.Reply{Code: 552, Enhanced: "5.3.4", Text: "the mail server takes messages of at most 100 bytes"}, a.Reply)
	require.Equal(t, outcome.MessageTooLarge, a.Result().Category)
	require.True(t, a.NotAccepted)

	a = r.Send(t.Context(), smtpout.Envelope{From: envelope.From, To: "jürgen@example.com", UTF8: true}, message)
	require.Equal(t, [2]any{553, "5.6.7"}, [2]any{a.Reply.Code, a.Reply.Enhanced})
	require.Contains(t, a.Reply.Text, "SMTPUTF8")
	require.True(t, a.NotAccepted)

	require.Equal(t, outcome.Accepted, r.Send(t.Context(), envelope, message).Result().Verdict, "the connection is as good as before")
	require.Len(t, s.mails(), 1)
	require.Equal(t, 1, s.conns())
}

func TestSend_UTF8(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(s *relayServer) { s.smtp.EnableSMTPUTF8 = true })
	a := newRelay(t, s.config()).Send(t.Context(), smtpout.Envelope{From: envelope.From, To: "jürgen@example.com", UTF8: true}, message)
	require.Equal(t, outcome.Accepted, a.Result().Verdict)
	require.Equal(t, "jürgen@example.com", s.mails()[0].to)
	require.True(t, s.mails()[0].utf8)
}

// What servers read differently never leaves (SMTP smuggling).
func TestSend_RefusesBareLineEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	r := newRelay(t, s.config())
	for msg, want := range map[string]string{
		"Subject: x\n\r\nbody\r\n":                          "CR LF",
		"Subject: x\r\n\r\nbody\n.\nMAIL FROM:<a@b.cc>\r\n": "CR LF",
		"Subject: x\r\n\r\nbody\r\n.\rRSET\r\n":             "CR LF",
		"Subject: x\r\n\r\nbody\r":                          "CR LF",
		"Subject: x\r\n\r\n\r\r\n":                          "CR LF",
		"Subject: x\r\n\r\n" + strings.Repeat("a", 999):     "998",
	} {
		a := r.Send(t.Context(), envelope, []byte(msg))
		require.Equal(t, [2]any{554, "5.6.0"}, [2]any{a.Reply.Code, a.Reply.Enhanced}, "%q", msg)
		require.ErrorContains(t, a.Err, want, "%q", msg)
		require.True(t, a.NotAccepted)
		require.Equal(t, outcome.Bounced, a.Result().Verdict)
	}
	require.Zero(t, s.conns())
	a := r.Send(t.Context(), envelope, []byte(strings.Repeat("a", 998)))
	require.Equal(t, outcome.Accepted, a.Result().Verdict, "the longest line, without its end")
}

func TestClose_WaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	s := scripted(t, func(conn int, verb, line string) string {
		if verb == "." {
			close(reached)
			<-release
		}
		return usual(conn, verb, line)
	})
	r := newRelay(t, s.config())
	var verdict outcome.Verdict
	var sending sync.WaitGroup
	sending.Go(func() { verdict = r.Send(t.Context(), envelope, message).Result().Verdict })
	<-reached
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		r.Close()
	}()
	require.Never(t, func() bool {
		select {
		case <-closed:
			return true
		default:
			return false
		}
	}, 50*time.Millisecond, 10*time.Millisecond)
	close(release)
	<-closed
	sending.Wait()
	require.Equal(t, outcome.Accepted, verdict)

	late := r.Send(t.Context(), envelope, message)
	require.Error(t, late.Err)
	require.True(t, late.NotAccepted)
}
