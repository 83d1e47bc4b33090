package smtpout_test

import (
	"crypto/tls"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
	"github.com/mailtura/mailtura/internal/smtpout"
)

// secured is a server with a certificate for 127.0.0.1, and how to reach it.
func secured(t *testing.T, security smtpout.Security, host string) (*relayServer, smtpout.Config) {
	t.Helper()
	pool, certificate := authority(t, host)
	s := newServer(t, func(s *relayServer) {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		if security == smtpout.TLS {
			s.listener = tls.NewListener(s.counter, config)
		} else {
			s.smtp.TLSConfig = config
		}
		s.username, s.password = "mailtura", "s3cret"
	})
	cfg := s.config()
	cfg.Security, cfg.RootCAs = security, pool
	return s, cfg
}

func TestSend_Encrypted(t *testing.T) {
	t.Parallel()
	for security, encrypted := range map[smtpout.Security]bool{
		smtpout.TLS: true, smtpout.StartTLS: true, smtpout.Opportunistic: true, "": true, smtpout.None: false,
	} {
		t.Run(string(security), func(t *testing.T) {
			t.Parallel()
			s, cfg := secured(t, security, "127.0.0.1")
			r := newRelay(t, cfg)
			for range 2 {
				a := r.Send(t.Context(), envelope, message)
				require.NoError(t, a.Err)
				require.Equal(t, outcome.Accepted, a.Result().Verdict)
				require.Equal(t, encrypted, a.TLS)
			}
			require.Len(t, s.mails(), 2)
		})
	}
}

func TestSend_OpportunisticWithoutAnOffer(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	cfg := s.config()
	cfg.Security = smtpout.Opportunistic
	a := newRelay(t, cfg).Send(t.Context(), envelope, message)
	require.Equal(t, outcome.Accepted, a.Result().Verdict)
	require.False(t, a.TLS)
}

// A server whose TLS is broken gets the mail in clear, as without TLS, but no password.
func TestSend_OpportunisticFallsBack(t *testing.T) {
	t.Parallel()
	for username, want := range map[string]outcome.Verdict{"": outcome.Accepted, "u": outcome.Deferred} {
		var mu sync.Mutex
		var verbs []string
		s := scripted(t, func(conn int, verb, line string) string {
			mu.Lock()
			defer mu.Unlock()
			verbs = append(verbs, verb)
			switch verb {
			case "EHLO":
				return "250-relay.example\r\n250-STARTTLS\r\n250 AUTH PLAIN"
			case "STARTTLS":
				return "454 4.7.0 TLS is not available"
			}
			return usual(conn, verb, line)
		})
		cfg := s.config()
		cfg.Security, cfg.Username, cfg.Password = smtpout.Opportunistic, username, "s3cret"
		a := newRelay(t, cfg).Send(t.Context(), envelope, message)
		require.Equal(t, want, a.Result().Verdict, "with username %q", username)
		require.False(t, a.TLS)
		mu.Lock()
		require.NotContains(t, verbs, "AUTH")
		mu.Unlock()
	}
}

// Opportunistic TLS protects against listening only (RFC 7435): any certificate will do.
func TestSend_CertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	for security, trusted := range map[smtpout.Security]bool{smtpout.TLS: false, smtpout.StartTLS: false, smtpout.Opportunistic: true} {
		for name, host := range map[string]string{"unknown authority": "127.0.0.1", "other host": "other.example"} {
			t.Run(string(security)+" "+name, func(t *testing.T) {
				t.Parallel()
				s, cfg := secured(t, security, host)
				if name == "unknown authority" {
					cfg.RootCAs, _ = authority(t, host)
				}
				a := newRelay(t, cfg).Send(t.Context(), envelope, message)
				if trusted {
					require.Equal(t, outcome.Accepted, a.Result().Verdict)
					require.True(t, a.TLS)
					return
				}
				require.Equal(t, outcome.TLS, a.Phase)
				require.ErrorContains(t, a.Err, "certificate")
				require.True(t, a.NotAccepted)
				require.Equal(t, outcome.Deferred, a.Result().Verdict)
				require.Empty(t, s.mails())
			})
		}
	}
}

func TestSend_StartTLSIsRequired(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]script{
		"not offered": usual,
		"refused": func(conn int, verb, line string) string {
			switch verb {
			case "EHLO":
				return "250-relay.example\r\n250 STARTTLS"
			case "STARTTLS":
				return "454 4.7.0 TLS is not available"
			}
			return usual(conn, verb, line)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var verbs []string
			s := scripted(t, func(conn int, verb, line string) string {
				mu.Lock()
				verbs = append(verbs, verb)
				mu.Unlock()
				return play(conn, verb, line)
			})
			cfg := s.config()
			cfg.Security = smtpout.StartTLS
			a := newRelay(t, cfg).Send(t.Context(), envelope, message)
			require.Equal(t, outcome.TLS, a.Phase)
			require.ErrorContains(t, a.Err, "TLS")
			require.True(t, a.NotAccepted)
			mu.Lock()
			defer mu.Unlock()
			require.NotContains(t, verbs, "MAIL", "nothing is said in clear")
		})
	}
}

func TestSend_Login(t *testing.T) {
	t.Parallel()
	for _, security := range []smtpout.Security{smtpout.TLS, smtpout.StartTLS} {
		t.Run(string(security), func(t *testing.T) {
			t.Parallel()
			s, cfg := secured(t, security, "127.0.0.1")
			cfg.Username, cfg.Password = "mailtura", "s3cret"
			require.Equal(t, outcome.Accepted, newRelay(t, cfg).Send(t.Context(), envelope, message).Result().Verdict)
			require.Equal(t, "mailtura", s.mails()[0].login)

			cfg.Password = "wr0ng"
			a := newRelay(t, cfg).Send(t.Context(), envelope, message)
			require.Equal(t, outcome.Auth, a.Phase)
			require.Equal(t, [2]any{535, "5.7.8"}, [2]any{a.Reply.Code, a.Reply.Enhanced})
			require.NotContains(t, a.Err.Error(), "wr0ng")
			require.True(t, a.NotAccepted)
			require.Equal(t, outcome.Result{Verdict: outcome.Deferred, Category: outcome.AuthFailed}, a.Result(), "no mail is lost by a wrong password")
			require.Len(t, s.mails(), 1)
		})
	}
}

// Some servers have LOGIN only.
func TestSend_LoginByLOGIN(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	s := scripted(t, func(conn int, verb, line string) string {
		switch {
		case verb == "EHLO":
			return "250-relay.example\r\n250 AUTH LOGIN"
		case line == "AUTH LOGIN":
			return "334 " + encode([]byte("Username:"))
		case line == encode([]byte("mailtura")):
			return "334 " + encode([]byte("Password:"))
		case line == encode([]byte("s3cret")):
			return "235 2.7.0 Welcome"
		case verb == "MAIL" || verb == "RCPT" || verb == "DATA" || verb == "." || verb == "CONNECT" || verb == "QUIT":
			return usual(conn, verb, line)
		}
		return "535 5.7.8 " + strings.TrimSpace(line)
	})
	cfg := s.config()
	cfg.Username, cfg.Password = "mailtura", "s3cret"
	require.Equal(t, outcome.Accepted, newRelay(t, cfg).Send(t.Context(), envelope, message).Result().Verdict)
	cfg.Username = "other"
	a := newRelay(t, cfg).Send(t.Context(), envelope, message)
	require.Equal(t, [2]any{outcome.Auth, 535}, [2]any{a.Phase, a.Reply.Code})
}

func TestNew_SendsNoPasswordInClear(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"smtp://u:s3cret@mail.example.com":                        false,
		"smtp://u:s3cret@mail.example.com?security=none":          false,
		"smtp://u:s3cret@mail.example.com?security=opportunistic": false,
		"smtp://u:s3cret@10.0.0.1":                                false,
		"smtp://u:s3cret@mail.example.com?security=starttls":      true,
		"smtps://u:s3cret@mail.example.com":                       true,
		"smtp://u:s3cret@localhost":                               true,
		"smtp://u:s3cret@127.0.0.1:2525":                          true,
		"smtp://u:s3cret@[::1]:2525":                              true,
		"smtp://mail.example.com":                                 true,
	} {
		cfg, err := smtpout.ParseURL(url)
		require.NoError(t, err, url)
		r, err := smtpout.New(cfg, slog.New(slog.DiscardHandler))
		if ok {
			require.NoError(t, err, url)
			r.Close()
			continue
		}
		require.ErrorContains(t, err, "in clear", url)
		require.NotContains(t, err.Error(), "s3cret", url)
	}
}
