package e2e

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// barrier stands between Mailtura and a mail server. After some messages it keeps back what the
// server says until it is opened: their hand-over is under way as long as a test wants.
type barrier struct {
	listener net.Listener
	server   string
	after    int64
	messages atomic.Int64
	shut     chan struct{} // closed when an answer is kept back
	opened   chan struct{}
	once     sync.Once
}

func newBarrier(t *testing.T, server string, after int64) *barrier {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	b := &barrier{listener: l, server: server, after: after, shut: make(chan struct{}), opened: make(chan struct{})}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(client)
		}
	}()
	return b
}

func (b *barrier) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is over, whichever way
	server, err := net.Dial("tcp", b.server)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is over, whichever way
	go func() { _, _ = io.Copy(answers{client, b}, server) }()
	_, _ = io.Copy(&commands{Writer: server, barrier: b}, client)
}

// commands counts the messages of a client: it waits for the answer to each.
type commands struct {
	io.Writer
	*barrier
	end []byte // of what was said
}

func (c *commands) Write(said []byte) (int, error) {
	c.end = append(c.end, said...)
	c.end = c.end[max(0, len(c.end)-5):]
	if bytes.Equal(c.end, []byte("\r\n.\r\n")) {
		c.messages.Add(1)
	}
	return c.Writer.Write(said)
}

// answers lets through what the server says while it is open.
type answers struct {
	io.Writer
	*barrier
}

func (a answers) Write(said []byte) (int, error) {
	if a.messages.Load() > a.after {
		a.once.Do(func() { close(a.shut) })
		<-a.opened
	}
	return a.Writer.Write(said)
}
