package dnscheck_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foxcpp/go-mockdns"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/dnscheck"
	"github.com/mailtura/mailtura/internal/domain"
)

// newServer is a name server with zones. What is too long for a datagram it tells by TCP only, as servers do.
func newServer(t *testing.T, zones map[string]mockdns.Zone) string {
	t.Helper()
	server, err := mockdns.NewServerWithLogger(zones, slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	byTCP, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	byUDP, err := net.ListenPacket("udp", byTCP.Addr().String())
	require.NoError(t, err)
	for _, front := range []*dns.Server{{Listener: byTCP, Handler: server}, {PacketConn: byUDP, Handler: dns.HandlerFunc(
		func(w dns.ResponseWriter, m *dns.Msg) { server.ServeDNS(truncating{w}, m) },
	)}} {
		started := make(chan struct{})
		front.NotifyStartedFunc = func() { close(started) }
		go front.ActivateAndServe() //nolint:errcheck // until it is shut down
		<-started
		t.Cleanup(func() { require.NoError(t, front.Shutdown()) })
	}
	return byTCP.Addr().String()
}

type truncating struct{ dns.ResponseWriter }

// WriteMsg writes as much as a datagram takes.
func (w truncating) WriteMsg(m *dns.Msg) error {
	m.Truncate(dns.MinMsgSize)
	return w.ResponseWriter.WriteMsg(m)
}

func TestLook(t *testing.T) {
	t.Parallel()
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("abcd", 100) // two strings in the DNS, and one here
	var many []string
	for range 60 { // more than a datagram takes
		many = append(many, long)
	}
	server := newServer(t, map[string]mockdns.Zone{
		"long.example.":     {TXT: []string{long}},
		"two.example.":      {TXT: []string{"one", "two"}},
		"many.example.":     {TXT: many},
		"strange.example.":  {TXT: []string{"a\x00b\xffc", strings.Repeat("x", 3000)}},
		"alias.example.":    {CNAME: "real.example."},
		"real.example.":     {A: []string{"192.0.2.1"}, MX: []net.MX{{Host: "mx.example.", Pref: 10}}},
		"dangling.example.": {CNAME: "nobody.example."},
		"broken.example.":   {Err: errors.New("broken")},
	})
	for _, c := range []struct {
		kind, name string
		want       []string
		failed     bool
	}{
		{"TXT", "long.example", []string{long}, false},
		{"TXT", "two.example", []string{"one", "two"}, false},
		{"TXT", "many.example", many[:20], false},
		{"TXT", "real.example", []string{}, false},
		{"TXT", "nobody.example", []string{}, false},
		{"TXT", "broken.example", []string{}, true},
		{"MX", "real.example", []string{"10 mx.example."}, false},
		{"MX", "nobody.example", []string{}, false},
		{"CNAME", "alias.example", []string{"real.example"}, false},
		{"CNAME", "real.example", []string{}, false},
		{"CNAME", "nobody.example", []string{}, false},
		{"CNAME", "dangling.example", []string{"nobody.example"}, false},
		{"SRV", "real.example", []string{}, true},
	} {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			t.Parallel()
			q := domain.Question{Type: c.kind, Name: c.name}
			a := dnscheck.New(server).Look(t.Context(), []domain.Question{q})[0]
			require.Equal(t, q, a.Question)
			require.True(t, slices.Equal(c.want, a.Values), "%.100s", a.Values)
			require.Equal(t, c.failed, a.Failed)
			require.WithinDuration(t, time.Now(), a.At, time.Minute)
		})
	}
	strange := dnscheck.New(server).Look(t.Context(), []domain.Question{{Type: "TXT", Name: "strange.example"}})[0]
	require.False(t, strange.Failed)
	require.Equal(t, "a\uFFFDb\uFFFDc", strange.Values[0])
	require.Len(t, strange.Values[1], 1000)
}

// A server that does not answer says nothing, and that is known in time.
func TestLook_NoAnswer(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	answers := dnscheck.New(silent.LocalAddr().String()).Look(ctx, newQuestions())
	require.Len(t, answers, len(newQuestions()))
	for i, a := range answers {
		require.Equal(t, newQuestions()[i], a.Question)
		require.True(t, a.Failed)
	}
}

func newQuestions() []domain.Question {
	return domain.Domain{Name: "mail.acme.com", Keys: []domain.Key{{Selector: "a"}, {Selector: "b"}}}.Questions("")
}
