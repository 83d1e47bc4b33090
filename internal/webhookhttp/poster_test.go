package webhookhttp_test

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

// newPoster calls this machine, and trusts a test server.
func newPoster(t *testing.T, server *httptest.Server, change ...func(*webhookhttp.Config)) *webhookhttp.Poster {
	t.Helper()
	cfg := webhookhttp.Config{Loopback: true, UserAgent: "Mailtura/test", Timeout: 20 * time.Second}
	if server != nil && server.Certificate() != nil {
		cfg.Roots = x509.NewCertPool()
		cfg.Roots.AddCert(server.Certificate())
	}
	for _, f := range change {
		f(&cfg)
	}
	p := webhookhttp.New(cfg)
	t.Cleanup(p.Close)
	return p
}

// newServer is an endpoint with TLS.
func newServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func answering(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "said")
	}
}

func newCall(url string) webhookhttp.Call {
	return webhookhttp.Call{URL: url, ID: "evt_1", Payload: []byte(`{"type":"x"}`), Secrets: []webhook.Secret{webhook.NewSecret(), webhook.NewSecret()}}
}

func TestPost_IsSignedAsTheOfficialLibraryWants(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	bodies := make(chan []byte, 1)
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
		got <- r
		w.WriteHeader(http.StatusNoContent)
	})
	call := newCall(server.URL + "/hook?x=1")
	o := newPoster(t, server).Post(t.Context(), call)
	require.Empty(t, o.Error)
	require.Equal(t, http.StatusNoContent, o.Status)
	require.WithinDuration(t, time.Now(), o.Started, time.Minute)
	r, body := <-got, <-bodies
	require.Equal(t, "POST /hook?x=1", r.Method+" "+r.URL.RequestURI())
	require.Equal(t, call.Payload, body)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, "Mailtura/test", r.Header.Get("User-Agent"))
	require.Equal(t, "evt_1", r.Header.Get("Webhook-Id"))
	for _, secret := range call.Secrets {
		receiver, err := standardwebhooks.NewWebhook(secret.Text())
		require.NoError(t, err)
		require.NoError(t, receiver.Verify(body, r.Header))
	}
}

func TestPost_Outcomes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "", 201: "", 204: "", 299: "", 300: "redirect", 301: "redirect", 307: "redirect", 308: "redirect",
		400: "status", 401: "status", 404: "status", 410: "status", 429: "status", 500: "status", 503: "status",
	} {
		server := newServer(t, answering(status, "Location", "https://127.0.0.1:1/elsewhere"))
		o := newPoster(t, server).Post(t.Context(), newCall(server.URL))
		require.Equal(t, []any{status, want, status == 410}, []any{o.Status, o.Error, o.Gone()})
		if status != http.StatusNoContent {
			require.Equal(t, "said", o.Snippet)
		}
	}
}

func TestPost_RetryAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "7", 7 * time.Second},
		{503, "120", 2 * time.Minute},
		{503, "999999", time.Hour},
		{503, "99999999999999999999", 0},
		{503, "-5", 0},
		{503, "soon", 0},
		{503, "", 0},
		{503, "Mon, 02 Jan 2006 15:04:05 GMT", 0},
		{503, "Fri, 02 Jan 2099 15:04:05 GMT", time.Hour},
		{500, "7", 0},
		{200, "7", 0},
	} {
		server := newServer(t, answering(tc.status, "Retry-After", tc.header))
		require.Equal(t, tc.want, newPoster(t, server).Post(t.Context(), newCall(server.URL)).RetryAfter, "%d %s", tc.status, tc.header)
	}
}

// No redirect is followed, not even to where it would be allowed.
func TestPost_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := newServer(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	server := newServer(t, answering(http.StatusTemporaryRedirect, "Location", elsewhere.URL))
	require.Equal(t, "redirect", newPoster(t, server).Post(t.Context(), newCall(server.URL)).Error)
	require.False(t, reached.Load())
}

func TestPost_ASnippetOfTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ said, want string }{
		"short":      {"ok", "ok"},
		"long":       {strings.Repeat("x", 5000), strings.Repeat("x", 1024)},
		"cut":        {strings.Repeat("x", 1023) + "ü", strings.Repeat("x", 1023)},
		"not UTF-8":  {"a\xff\xfeb", "ab"},
		"NUL":        {"a\x00b", "ab"},
		"all broken": {strings.Repeat("\xff", 3000), ""},
	} {
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tc.said) })
		o := newPoster(t, server).Post(t.Context(), newCall(server.URL))
		require.Equal(t, tc.want, o.Snippet, name)
		require.Empty(t, o.Error, name)
	}
}

// An answer without an end costs no more than its beginning.
func TestPost_AnEndlessAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	require.Empty(t, newPoster(t, server).Post(t.Context(), newCall(server.URL)).Error)
}

// An endpoint that takes the call and says nothing, or no end of it, is given up.
func TestPost_Timeout(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]string{"nothing": "", "a beginning": "x"} {
		release := make(chan struct{})
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if say != "" {
				_, _ = io.WriteString(w, say)
				_ = http.NewResponseController(w).Flush()
			}
			<-release
		})
		t.Cleanup(func() { close(release) }) // before the server is closed
		o := newPoster(t, server, func(c *webhookhttp.Config) { c.Timeout = 300 * time.Millisecond }).Post(t.Context(), newCall(server.URL))
		require.Equal(t, "timeout", o.Error, name)
		require.GreaterOrEqual(t, o.Duration, 300*time.Millisecond)
	}
}

func TestPost_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	server := newServer(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release })
	t.Cleanup(func() { close(release) })
	require.Equal(t, "interrupted", newPoster(t, server).Post(ctx, newCall(server.URL)).Error)
}

func TestPost_CertificatesAreVerified(t *testing.T) {
	t.Parallel()
	server := newServer(t, answering(http.StatusOK))
	require.Equal(t, "tls", newPoster(t, nil).Post(t.Context(), newCall(server.URL)).Error, "nobody has signed it")
	name := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	require.Equal(t, "tls", newPoster(t, server).Post(t.Context(), newCall(name)).Error, "it is another name's")
	plain := httptest.NewServer(answering(http.StatusOK))
	t.Cleanup(plain.Close)
	require.Equal(t, "tls", newPoster(t, server).Post(t.Context(), newCall("https"+strings.TrimPrefix(plain.URL, "http"))).Error, "it speaks no TLS")
}

func TestPost_NobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.Equal(t, "connection_refused", newPoster(t, nil).Post(t.Context(), newCall("http://"+l.Addr().String())).Error)
}

// names is a DNS server that says of every name what it is told to say at each time it is
// asked for an address, and the last of it from then on.
func names(t *testing.T, answers ...string) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var asked atomic.Int32
	go func() {
		for buffer := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			q := m.Questions[0]
			if q.Type == dnsmessage.TypeA {
				at := min(int(asked.Add(1)), len(answers)) - 1
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(answers[at]).As4()},
				}}
			}
			packed, err := m.Pack()
			if err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, &asked
}

// trap is a listener on this machine that nothing may reach.
func trap(t *testing.T) (port string, reached *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	reached = new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_ = conn.Close()
		}
	}()
	u, err := url.Parse("http://" + l.Addr().String())
	require.NoError(t, err)
	return u.Port(), reached
}

// By its address, in whatever way it is written, or by a name: nothing inside is reached.
func TestPost_NothingInsideIsReached(t *testing.T) {
	t.Parallel()
	port, reached := trap(t)
	inside, _ := names(t, "127.0.0.1")
	safe := webhookhttp.New(webhookhttp.Config{Resolver: inside})
	t.Cleanup(safe.Close)
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "localhost", "inside.acme.com",
		"169.254.169.254", "10.0.0.1", "192.168.0.1", "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]",
	} {
		for _, scheme := range []string{"https", "http"} {
			for _, address := range []string{host + ":" + port, host} {
				o := safe.Post(t.Context(), newCall(scheme+"://"+address+"/latest/meta-data/"))
				require.Equal(t, "address_refused", o.Error, address)
				require.Zero(t, o.Status)
			}
		}
	}
	for _, host := range []string{"127.1", "2130706433", "0x7f000001", "0177.0.0.1"} { // what old resolvers take for addresses
		require.NotEmpty(t, safe.Post(t.Context(), newCall("https://"+host+":"+port)).Error, host)
	}
	require.Zero(t, reached.Load())
}

// A name that leads outside when it is checked, and inside when it is called, is refused: the
// address that is checked is the one that is dialled.
func TestPost_ANameThatChanges(t *testing.T) {
	t.Parallel()
	_, reached := trap(t)
	resolver, asked := names(t, "93.184.216.34", "127.0.0.1")
	outside, err := resolver.LookupIPAddr(t.Context(), "rebind.acme.com")
	require.NoError(t, err)
	require.Equal(t, "93.184.216.34", outside[0].String())
	safe := webhookhttp.New(webhookhttp.Config{Resolver: resolver})
	t.Cleanup(safe.Close)
	require.Equal(t, "address_refused", safe.Post(t.Context(), newCall("https://rebind.acme.com/")).Error)
	require.EqualValues(t, 2, asked.Load())
	require.Zero(t, reached.Load())
}

// A proxy of the environment would dial for us, unchecked.
func TestPost_UsesNoProxy(t *testing.T) {
	port, reached := trap(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+port)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:"+port)
	inside, _ := names(t, "10.0.0.1")
	safe := webhookhttp.New(webhookhttp.Config{Resolver: inside})
	t.Cleanup(safe.Close)
	require.Equal(t, "address_refused", safe.Post(t.Context(), newCall("https://acme.com/")).Error)
	require.Zero(t, reached.Load())
}
