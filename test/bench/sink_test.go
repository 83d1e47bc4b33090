package bench

import (
	"bufio"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// text is a body of 4 kB.
var text = strings.Repeat("The engine can arrange and combine its numerical quantities exactly.\r\n", 60)

// sink is a mail server that keeps nothing but when each message came.
type sink struct {
	address string

	mu   sync.Mutex
	at   map[string]time.Time // by email id
	want int
	full chan struct{} // closed when everything has come
}

func startSink(b *testing.B) *sink {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := &sink{address: listener.Addr().String()}
	server := smtp.NewServer(s)
	server.Domain = "localhost"
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *sink) reset(want int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.want, s.full = map[string]time.Time{}, want, make(chan struct{})
}

// await waits until everything has come.
func (s *sink) await(b *testing.B) {
	b.Helper()
	select {
	case <-s.full:
	case <-time.After(5 * time.Minute):
		require.FailNow(b, "not everything arrived")
	}
}

func (s *sink) arrivals() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// arrival is when an email came; ok is false while it has not.
func (s *sink) arrival(id string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.at[id]
	return at, ok
}

// NewSession takes mail from anybody.
func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return (*session)(s), nil }

type session sink

func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	reader := bufio.NewReader(r)
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return err
	}
	id, _, _ := strings.Cut(strings.Trim(header.Get("Message-Id"), "<>"), "@")
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.at[id]; !again && len(s.at)+1 == s.want {
		close(s.full)
	}
	s.at[id] = time.Now()
	return nil
}
