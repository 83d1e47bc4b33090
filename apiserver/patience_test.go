package apiserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// soon is how patient the servers of these tests are where they are not to be.
const soon = 200 * time.Millisecond

// impatient is a server that listens, and patient only where patience says so.
type impatient struct {
	*bundle
	key    string
	addr   string
	closed chan struct{} // gets one for each connection that the server has closed
}

func newImpatient(t *testing.T, patience apiserver.Patience, change ...func(*apiserver.Config)) *impatient {
	t.Helper()
	b, key := newAcme(t, tenant.Settings{})
	templates, err := engine()
	require.NoError(t, err)
	change = append(change, func(cfg *apiserver.Config) { cfg.Patience = patience })
	s := &impatient{bundle: b, key: key, closed: make(chan struct{}, 100)}
	b.Server = b.process(temporalAway(t), templates, change...)
	server := b.HTTP()
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			s.closed <- struct{}{}
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = listener.Addr().String()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return s
}

// dial connects, and says something.
func (s *impatient) dial(said string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, said)
	require.NoError(s.t, err)
	return conn
}

// head is the header of a request, with a body of so many bytes.
func (s *impatient) head(method, path, key string, length int) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		method, path, key, length)
}

// answer reads an answer.
func (s *impatient) answer(conn net.Conn) answer {
	s.t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(s.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return answer{t: s.t, Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// A client that says its header, or nothing, and never ends is cut off.
func TestPatience_Header(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Header: soon})
	for _, said := range []string{"", "GET /api/v1/usage HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		conn := s.dial(said)
		rest, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Empty(t, rest)
	}
	s.dial("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 70<<10))
	<-s.closed
}

// A client that sends a body byte after byte is answered when the time for all of it is over.
func TestPatience_Body(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Body: soon})
	conn := s.dial(s.head(http.MethodPost, templatesPath, s.key, 10_000))
	go func() {
		tick := time.NewTicker(soon / 20)
		defer tick.Stop()
		for range tick.C {
			if _, err := conn.Write([]byte("{")); err != nil {
				return
			}
		}
	}()
	s.answer(conn).problem(http.StatusRequestTimeout, "body_timeout")
}

// Who is refused anyway is answered also when the body never comes, and does not keep the connection.
func TestPatience_BodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Body: soon})
	for said, want := range map[string]int{
		s.head(http.MethodPost, templatesPath, "sesame", 100): http.StatusUnauthorized,
		s.head(http.MethodPost, "/nowhere", s.key, 100):       http.StatusNotFound,
		s.head(http.MethodPost, emailsPath, s.key, 30<<20):    http.StatusRequestEntityTooLarge,
		s.head(http.MethodGet, v1+"/usage", s.key, 100):       http.StatusOK,
		s.head(http.MethodPost, bulkPath, s.key, 100):         http.StatusUnsupportedMediaType,
	} {
		a := s.answer(s.dial(said))
		require.Equal(t, want, a.Status, "%.60s: %s", said, a.Body)
		<-s.closed
	}
}

// A client that asks for much and reads nothing is cut off.
func TestPatience_Write(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Write: soon})
	s.exec(`WITH made AS (
			INSERT INTO templates (tenant_id, id, name, kind) SELECT $1, gen_random_uuid(), 't' || n, 'template' FROM generate_series(1, 30) n RETURNING *
		) INSERT INTO template_versions (tenant_id, template_id, version, subject, html, text, mjml, inline_css, partials, required)
			SELECT tenant_id, id, version, '', '', repeat('x', 500000), '', false, '{}', '{}' FROM made`, acme)
	conn := s.dial("")
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096)) //nolint:forcetypeassert // it is TCP
	_, err := io.WriteString(conn, s.head(http.MethodGet, templatesPath, s.key, 0))
	require.NoError(t, err)
	<-s.closed
}

// A connection on which nothing comes any more is closed.
func TestPatience_Idle(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Idle: soon})
	require.Equal(t, http.StatusOK, s.answer(s.dial(s.head(http.MethodGet, v1+"/usage", s.key, 0))).Status)
	<-s.closed
}

// An upload takes as long as it makes progress, and is given up when it makes none.
func TestPatience_UploadsHaveTheirOwn(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Body: soon, Write: soon}, func(cfg *apiserver.Config) { cfg.Uploads.Stall = 20 * soon })
	lines := []string{`{"subject":"x","text":"x"}` + "\n"}
	for i := range 15 {
		lines = append(lines, fmt.Sprintf(`{"to":"a%d@example.com"}`+"\n", i))
	}
	upload := func(length int) net.Conn {
		head := s.head(http.MethodPost, bulkPath, s.key, length)
		conn := s.dial(strings.ReplaceAll(head, "application/json", "application/x-ndjson"))
		tick := time.NewTicker(soon / 5)
		defer tick.Stop()
		for _, line := range lines { // takes three times as long as another body may
			<-tick.C
			_, err := io.WriteString(conn, line)
			require.NoError(t, err)
		}
		return conn
	}
	all := len(strings.Join(lines, ""))
	a := s.answer(upload(all))
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	require.Equal(t, 15, read[apiserver.BulkAccepted](a).Accepted)
	s.answer(upload(all+100)).problem(http.StatusRequestTimeout, "body_timeout")
}

// What the server itself takes time for is not the client's fault.
func TestPatience_SlowServer(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{Body: soon, Write: soon, Idle: soon})
	waiting, release := s.lockTenant()
	conn := s.dial(s.head(http.MethodPost, emailsPath, s.key, len(hi)) + hi)
	waiting(1)
	<-time.After(3 * soon)
	release()
	a := s.answer(conn)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
}

// Each operation that takes a body says how large it can be, and refuses a larger one.
func TestBody_LimitsAreDocumented(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, op := range operations(t) {
		if op.RequestBody == nil || op.mediaType() != "application/json" {
			continue
		}
		_, text, found := strings.Cut(op.Description, "Its body has at most ")
		require.True(t, found, op.OperationID)
		var mib int
		_, err := fmt.Sscanf(text, "%d MiB.", &mib)
		require.NoError(t, err, op.OperationID)
		a := b.call(op, key, "x", strings.Repeat(" ", mib<<20)+"{}")
		a.problem(http.StatusRequestEntityTooLarge, "body_too_large")
		readDocument(t).check(t, op, a)
	}
}
