package testkit

import (
	"bufio"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Sink is a mail server that takes everything and keeps nothing but when each mail came.
type Sink struct {
	Address string
	// Latency is how long the answer to a message takes. The mail counts as taken when it begins.
	Latency time.Duration

	server *smtp.Server

	mu   sync.Mutex
	at   map[Mail][]time.Time
	want int
	full chan struct{} // closed when so many have come
}

// Mail is one message for one recipient, by which it is known again when it comes twice.
type Mail struct {
	ID string // the Message-ID before its @: the id of the email
	To string
}

// StartSink starts a sink on a free port.
func StartSink(latency time.Duration) (*Sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{Address: listener.Addr().String(), Latency: latency}
	s.Reset(0)
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	s.server.Domain = "localhost"
	s.server.ErrorLog = log.New(io.Discard, "", 0) // of clients that are killed
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Close ends it.
func (s *Sink) Close() { _ = s.server.Close() }

// Reset forgets everything; Await then waits for so many mails.
func (s *Sink) Reset(want int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.want, s.full = map[Mail][]time.Time{}, want, make(chan struct{})
}

// Await waits until as many different mails have come as Reset was told.
func (s *Sink) Await(within time.Duration) error {
	s.mu.Lock()
	full := s.full
	s.mu.Unlock()
	select {
	case <-full:
		return nil
	case <-time.After(within):
		return errors.New("not everything arrived")
	}
}

// Arrivals tells when each mail came, each time that it did.
func (s *Sink) Arrivals() map[Mail][]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.at)
}

// Count is how many different mails have come.
func (s *Sink) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

func (s *Sink) take(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.at[m]; !again && len(s.at)+1 == s.want {
		close(s.full)
	}
	s.at[m] = append(s.at[m], time.Now())
}

// sinkSession is a connection to the sink.
type sinkSession struct {
	sink *Sink
	to   []string
}

// Mail takes any sender.
func (*sinkSession) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes any recipient.
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Reset begins anew.
func (s *sinkSession) Reset() { s.to = nil }

// Logout ends the session.
func (*sinkSession) Logout() error { return nil }

// Data takes a message once it is complete.
func (s *sinkSession) Data(r io.Reader) error {
	reader := bufio.NewReader(r)
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return err
	}
	id, _, _ := strings.Cut(strings.Trim(header.Get("Message-Id"), "<>"), "@")
	for _, to := range s.to {
		s.sink.take(Mail{ID: id, To: to})
	}
	if s.sink.Latency > 0 {
		time.Sleep(s.sink.Latency)
	}
	return nil
}
