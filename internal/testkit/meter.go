package testkit

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Meter is a mail server that keeps nothing but when each message was begun: when its MAIL
// command came, which is as near to the hand-over as one gets from outside.
type Meter struct {
	Address string
	server  *smtp.Server

	mu    sync.Mutex
	begun []time.Time
}

// StartMeter starts a meter on a free port.
func StartMeter() (*Meter, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &Meter{Address: listener.Addr().String()}
	m.server = smtp.NewServer(m)
	m.server.Domain = "localhost"
	go func() { _ = m.server.Serve(listener) }()
	return m, nil
}

// Close ends it.
func (m *Meter) Close() { _ = m.server.Close() }

// Begun is when messages were begun, in order.
func (m *Meter) Begun() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(slices.Values(m.begun), time.Time.Compare)
}

// NewSession takes mail from anybody.
func (m *Meter) NewSession(*smtp.Conn) (smtp.Session, error) { return (*meterSession)(m), nil }

type meterSession Meter

func (s *meterSession) Mail(string, *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = append(s.begun, time.Now())
	return nil
}

func (*meterSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*meterSession) Reset()                               {}
func (*meterSession) Logout() error                        { return nil }

func (*meterSession) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
