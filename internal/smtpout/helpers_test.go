package smtpout_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/smtpout"
)

var (
	envelope = smtpout.Envelope{From: "noreply@acme.com", To: "ada@example.com"}
	message  = []byte("Subject: Hi\r\n\r\nHello\r\n")
)

func newRelay(t *testing.T, cfg smtpout.Config) *smtpout.Relay {
	t.Helper()
	r, err := smtpout.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// counter is a listener that knows how many connections there were and are.
type counter struct {
	net.Listener
	mu                sync.Mutex
	total, open, peak int
}

func (c *counter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	c.open++
	c.peak = max(c.peak, c.open)
	return &counted{Conn: conn, counter: c}, nil
}

func (c *counter) conns() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// config is how to reach the listener.
func (c *counter) config() smtpout.Config {
	return smtpout.Config{Host: "127.0.0.1", Port: c.Addr().(*net.TCPAddr).Port, HELO: "client.example"}
}

type counted struct {
	net.Conn
	once    sync.Once
	counter *counter
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.counter.mu.Lock()
		defer c.counter.mu.Unlock()
		c.counter.open--
	})
	return c.Conn.Close()
}

func listen(t *testing.T) *counter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return &counter{Listener: l}
}

// relayServer is a go-smtp server that takes everything.
type relayServer struct {
	*counter
	smtp               *smtp.Server
	listener           net.Listener // the counter, or TLS over it
	username, password string

	mu       sync.Mutex
	received []received
}

type received struct {
	from, to string
	utf8     bool
	login    string
	body     string
}

// newServer starts a server; prepare changes it before.
func newServer(t *testing.T, prepare func(s *relayServer)) *relayServer {
	t.Helper()
	s := &relayServer{counter: listen(t)}
	s.listener = s.counter
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.smtp.Domain, s.smtp.ErrorLog = "relay.example", quiet{}
	if prepare != nil {
		prepare(s)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.smtp.Serve(s.listener)
	}()
	t.Cleanup(func() {
		_ = s.smtp.Close()
		<-ended
	})
	return s
}

func (s *relayServer) mails() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	server *relayServer
	received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.server.username || password != s.server.password {
			return smtp.ErrAuthFailed
		}
		s.login = username
		return nil
	}), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.from, s.utf8 = from, o.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.body = string(raw)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.received = append(s.server.received, s.received)
	return err
}

func (s *session) Reset() { s.received = received{login: s.login} }

func (s *session) Logout() error { return nil }

// script answers a command of a connection, which are counted from 1. The verb is CONNECT
// at its beginning and "." at the end of a message. No answer closes the connection.
type script func(conn int, verb, line string) string

// usual is what a server without a fault answers.
func usual(_ int, verb, _ string) string {
	switch verb {
	case "CONNECT":
		return "220 relay.example ESMTP"
	case "DATA":
		return "354 Go on"
	case ".":
		return "250 2.0.0 Queued as 4711"
	case "QUIT":
		return "221 2.0.0 Bye"
	}
	return "250 2.0.0 OK"
}

// except answers as usual but for one verb.
func except(verb, answer string) script {
	return func(conn int, v, line string) string {
		if v == verb {
			return answer
		}
		return usual(conn, v, line)
	}
}

// scripted is a server that follows a script, for what well-behaved servers never do.
func scripted(t *testing.T, play script) *counter {
	t.Helper()
	l := listen(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	running.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			running.Go(func() { converse(conn, n, play) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, conn := range all {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l
}

func converse(conn net.Conn, n int, play script) {
	defer conn.Close() //nolint:errcheck // it may be closed already
	lines := bufio.NewScanner(conn)
	answer := play(n, "CONNECT", "")
	for answer != "" {
		if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
			return
		}
		inData := strings.HasPrefix(answer, "354")
		if !lines.Scan() {
			return
		}
		line := lines.Text()
		for inData && line != "." {
			if !lines.Scan() {
				return
			}
			line = lines.Text()
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		answer = play(n, verb, line)
	}
}

// authority makes a CA, and a certificate of it for a host.
func authority(t *testing.T, host string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	require.NoError(t, err)
	root, err := x509.ParseCertificate(caDER)
	require.NoError(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotAfter: time.Now().Add(time.Hour)}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
