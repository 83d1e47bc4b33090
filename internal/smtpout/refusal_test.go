package smtpout_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

func TestSend_Refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verb, answer string
		phase        outcome.Phase
		reply        outcome.Reply
		verdict      outcome.Verdict
	}{
		"sender":            {"MAIL", "550 5.7.1 Sender refused", outcome.Mail, outcome.Reply{Code: 550, Enhanced: "5.7.1", Text: "Sender refused"}, outcome.Deferred},
		"recipient":         {"RCPT", "550 5.1.1 No such user", outcome.Rcpt, outcome.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}, outcome.Bounced},
		"recipient for now": {"RCPT", "450 4.2.0 Greylisted", outcome.Rcpt, outcome.Reply{Code: 450, Enhanced: "4.2.0", Text: "Greylisted"}, outcome.Deferred},
		"no enhanced code":  {"RCPT", "550 Go away", outcome.Rcpt, outcome.Reply{Code: 550, Text: "Go away"}, outcome.Bounced},
		"several lines":     {"RCPT", "550-5.1.1 No such\r\n550 5.1.1 user", outcome.Rcpt, outcome.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}, outcome.Bounced},
		"data":              {"DATA", "554 5.5.1 No valid recipients", outcome.Data, outcome.Reply{Code: 554, Enhanced: "5.5.1", Text: "No valid recipients"}, outcome.Bounced},
		"content":           {".", "554 5.7.1 Looks like spam", outcome.Body, outcome.Reply{Code: 554, Enhanced: "5.7.1", Text: "Looks like spam"}, outcome.Bounced},
		"content for now":   {".", "452 4.3.1 Disk full", outcome.Body, outcome.Reply{Code: 452, Enhanced: "4.3.1", Text: "Disk full"}, outcome.Deferred},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, except(c.verb, c.answer))
			r := newRelay(t, s.config())
			for range 2 {
				a := r.Send(t.Context(), envelope, message)
				require.Equal(t, c.phase, a.Phase)
				require.Equal(t, c.reply, a.Reply)
				require.Equal(t, c.verdict, a.Result().Verdict)
				require.True(t, a.NotAccepted)
				require.NoError(t, a.Err)
			}
			require.Equal(t, 1, s.conns(), "a refusal costs no connection")
		})
	}
}

// 421 says that the server closes the connection (RFC 5321 §3.8).
func TestSend_ClosingServer(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"MAIL", "RCPT", "DATA", "."} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, except(verb, "421 4.3.2 Shutting down"))
			r := newRelay(t, s.config())
			for n := 1; n <= 2; n++ {
				a := r.Send(t.Context(), envelope, message)
				require.Equal(t, outcome.Reply{Code: 421, Enhanced: "4.3.2", Text: "Shutting down"}, a.Reply)
				require.Equal(t, outcome.Deferred, a.Result().Verdict)
				require.True(t, a.NotAccepted)
				require.Equal(t, n, s.conns(), "the connection is not used again")
			}
		})
	}
}

func TestSend_ConnectionLost(t *testing.T) {
	t.Parallel()
	for verb, phase := range map[string]outcome.Phase{"MAIL": outcome.Mail, "RCPT": outcome.Rcpt, "DATA": outcome.Data, ".": outcome.Body} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, except(verb, ""))
			a := newRelay(t, s.config()).Send(t.Context(), envelope, message)
			require.Equal(t, phase, a.Phase)
			require.Zero(t, a.Reply)
			require.Error(t, a.Err)
			require.Equal(t, 1, s.conns(), "a fresh connection that is lost is not replaced")
			require.Equal(t, outcome.Network, a.Result().Category)
			if phase == outcome.Body {
				require.False(t, a.NotAccepted, "nobody knows")
				require.Equal(t, outcome.Unknown, a.Result().Verdict)
			} else {
				require.True(t, a.NotAccepted)
				require.Equal(t, outcome.Deferred, a.Result().Verdict)
			}
		})
	}
}

// A pooled connection that the server gave up in the meantime is replaced unseen.
func TestSend_StaleConnection(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"closed": "", "said 421": "421 4.4.2 Idle for too long"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mails := 0
			s := scripted(t, func(conn int, verb, line string) string {
				if verb == "MAIL" && conn == 1 {
					if mails++; mails == 2 {
						return answer
					}
				}
				return usual(conn, verb, line)
			})
			r := newRelay(t, s.config())
			for n := 1; n <= 2; n++ {
				require.Equal(t, outcome.Accepted, r.Send(t.Context(), envelope, message).Result().Verdict)
				require.Equal(t, n, s.conns())
			}
		})
	}
}

func TestSend_StaleConnectionIsReplacedOnce(t *testing.T) {
	t.Parallel()
	first := true
	s := scripted(t, func(conn int, verb, line string) string {
		if verb == "MAIL" && (conn > 1 || !first) {
			return ""
		}
		first = first && verb != "."
		return usual(conn, verb, line)
	})
	r := newRelay(t, s.config())
	require.Equal(t, outcome.Accepted, r.Send(t.Context(), envelope, message).Result().Verdict)
	a := r.Send(t.Context(), envelope, message)
	require.Equal(t, outcome.Mail, a.Phase)
	require.True(t, a.NotAccepted)
	require.Equal(t, 2, s.conns())
}

func TestSend_DoesNotConnect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script script
		phase  outcome.Phase
		code   int
	}{
		"greeting refuses":       {except("CONNECT", "554 5.3.2 No SMTP service here"), outcome.Connect, 554},
		"greeting is no SMTP":    {except("CONNECT", "HTTP/1.1 400 Bad Request"), outcome.Connect, 0},
		"closed at once":         {except("CONNECT", ""), outcome.Connect, 0},
		"hello refused":          {except("EHLO", "550 5.7.0 Bad HELO"), outcome.Ehlo, 550},
		"closed after the hello": {except("EHLO", ""), outcome.Ehlo, 0},
		"too many connections":   {except("CONNECT", "421 4.7.0 Too many connections"), outcome.Connect, 421},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, c.script)
			a := newRelay(t, s.config()).Send(t.Context(), envelope, message)
			require.Equal(t, c.phase, a.Phase)
			require.Equal(t, c.code, a.Reply.Code)
			require.Error(t, a.Err)
			require.True(t, a.NotAccepted)
			require.Equal(t, outcome.Deferred, a.Result().Verdict, "an operator can mend it")
			require.Equal(t, s.Addr().String(), a.Peer)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		l := listen(t)
		require.NoError(t, l.Close())
		a := newRelay(t, l.config()).Send(t.Context(), envelope, message)
		require.Equal(t, outcome.Connect, a.Phase)
		require.Zero(t, a.Reply)
		require.Equal(t, outcome.Result{Verdict: outcome.Deferred, Category: outcome.Network}, a.Result())
		require.Equal(t, l.Addr().String(), a.Peer)
	})
}

// A server without EHLO is greeted with HELO (RFC 5321 §3.2).
func TestSend_OldServer(t *testing.T) {
	t.Parallel()
	s := scripted(t, except("EHLO", "502 Command not implemented"))
	require.Equal(t, outcome.Accepted, newRelay(t, s.config()).Send(t.Context(), envelope, message).Result().Verdict)
}

func TestSend_Timeouts(t *testing.T) {
	t.Parallel()
	for verb, verdict := range map[string]outcome.Verdict{"CONNECT": outcome.Deferred, "RCPT": outcome.Deferred, ".": outcome.Unknown} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, silentAt(t, verb, nil))
			cfg := s.config()
			cfg.CommandTimeout, cfg.DataTimeout = 200*time.Millisecond, 200*time.Millisecond
			a := newRelay(t, cfg).Send(t.Context(), envelope, message)
			require.ErrorIs(t, a.Err, os.ErrDeadlineExceeded)
			require.Equal(t, verdict, a.Result().Verdict)
		})
	}
}

// A server that stops reading in the middle of a message does not hold it for ever.
func TestSend_TimeoutWithinTheMessage(t *testing.T) {
	t.Parallel()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // a test's
		buf := make([]byte, 4096)
		for _, answer := range []string{"220 hi", "250 hello", "250 ok", "250 ok", "354 go on"} {
			_, _ = conn.Write([]byte(answer + "\r\n"))
			if answer != "354 go on" {
				_, _ = conn.Read(buf)
			}
		}
		<-t.Context().Done()
	}()
	cfg := l.config()
	cfg.CommandTimeout, cfg.DataTimeout = 10*time.Second, 300*time.Millisecond
	a := newRelay(t, cfg).Send(t.Context(), envelope, []byte(strings.Repeat(strings.Repeat("a", 98)+"\r\n", 300_000)))
	require.Equal(t, outcome.Data, a.Phase)
	require.ErrorIs(t, a.Err, os.ErrDeadlineExceeded)
	require.True(t, a.NotAccepted, "without its final dot it is nothing")
}

func TestSend_Cancelled(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]outcome.Verdict{
		"CONNECT": outcome.Deferred, "MAIL": outcome.Deferred, "RCPT": outcome.Deferred, "DATA": outcome.Deferred, ".": outcome.Unknown,
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			s := scripted(t, silentAt(t, verb, reached))
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-reached
				cancel(errors.New("shutting down"))
			}()
			a := newRelay(t, s.config()).Send(ctx, envelope, message)
			require.Error(t, a.Err)
			require.Equal(t, want, a.Result().Verdict)
			require.Equal(t, want != outcome.Unknown, a.NotAccepted)
			require.Equal(t, 1, s.conns(), "no other attempt is made")
		})
	}
}

// silentAt answers as usual up to a verb, tells that it is reached, and says no more.
func silentAt(t *testing.T, silent string, reached chan<- struct{}) script {
	t.Helper()
	return func(conn int, verb, line string) string {
		if verb != silent {
			return usual(conn, verb, line)
		}
		if reached != nil {
			close(reached)
		}
		<-t.Context().Done()
		return ""
	}
}
