// Package e2e tests the product from outside: the programs as they are built, over real
// sockets, with a real database, a real Temporal and a real mailbox.
package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/devstack"
	"github.com/mailtura/mailtura/internal/devstack/inbox"
	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/flow"
)

// binary is a program of the product: from the environment, or where the build puts it.
func binary(name, variable string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		panic(err)
	}
	return path
}

func mailturaBinary() string    { return binary("mailtura", "MAILTURA_BIN") }
func temporaliteBinary() string { return binary("temporalite", "TEMPORALITE_BIN") }

// stack is an installation: its parts, each of which a test can kill.
type stack struct {
	dir      string
	database *postgres.Server
	temporal *devstack.Temporal
	inbox    *inbox.Inbox
	key      string
	url      string // of the API
	ports    struct{ api, temporal, ui int }
}

// shared is the installation of the tests that kill nothing; TestMain starts and stops it.
var shared *stack

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mailtura-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		s, err := newStack(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer s.stop()
		api, err := s.launch("serve")
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer api.stop()
		shared = s
		return m.Run()
	}())
}

// newStack starts database, Temporal and inbox.
func newStack(dir string) (*stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := &stack{dir: dir, key: apikey.New(apikey.Operator).Text()}
	s.ports.api, s.ports.temporal, s.ports.ui = freePort(), freePort(), freePort()
	s.url = fmt.Sprintf("http://127.0.0.1:%d", s.ports.api)
	var err error
	s.database, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(dir, "postgres"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := s.database.CreateDatabase(ctx, "mailtura"); err != nil {
		return nil, err
	}
	if err := s.startTemporal(ctx); err != nil {
		return nil, err
	}
	s.inbox, err = inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", MaxMessages: 100_000})
	return s, err
}

func (s *stack) startTemporal(ctx context.Context) (err error) {
	s.temporal, err = devstack.StartTemporal(ctx, devstack.TemporalConfig{
		Binary: temporaliteBinary(), PostgresURL: s.database.URL("postgres"), Port: s.ports.temporal, UIPort: s.ports.ui,
		Dir: s.dir, Namespace: flow.Namespace, Attributes: flow.AttributeTypes(), Output: io.Discard,
	})
	return err
}

func (s *stack) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = s.inbox.Close(ctx)
	_ = s.temporal.Stop(ctx)
	_ = s.database.Stop(ctx)
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent over it
	return l.Addr().(*net.TCPAddr).Port
}

// process is a running role of the product.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// launch starts a role ("serve", "apiserver", "worker") and returns when it answers.
func (s *stack) launch(role string, env ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, role+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(mailturaBinary(), role) //nolint:gosec,noctx // the program under test
	cmd.Env = append(s.environment(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	if role != "worker" {
		return p, s.awaitAPI(p)
	}
	return p, nil
}

func (s *stack) environment() []string {
	return append(os.Environ(),
		"DATABASE_URL="+s.database.URL("mailtura"), "TEMPORAL_ADDRESS="+s.temporal.Address, "TEMPORAL_UI_URL="+s.temporal.UIURL,
		"MAILTURA_SMTP_RELAY=smtp://"+s.inbox.SMTPAddr(), "MAILTURA_OPERATOR_KEY="+s.key,
		fmt.Sprintf("MAILTURA_LISTEN=127.0.0.1:%d", s.ports.api), "MAILTURA_URL="+s.url, "INBOX_URL="+s.inbox.URL(),
	)
}

func (s *stack) awaitAPI(p *process) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if response, err := http.Get(s.url + "/readyz"); err == nil { //nolint:noctx // a test's probe
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: see %s", p.cmd.Args[1], s.dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready in time", p.cmd.Args[1])
}

// kill ends the process at once, as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop ends the process in order.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.kill()
	}
}

// client speaks with a key, and for a tenant where one is named.
func (s *stack) client(t testing.TB, key, tenantID string) *mailtura.ClientWithResponses {
	t.Helper()
	c, err := mailtura.NewClientWithResponses(s.url, mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		if tenantID != "" {
			r.Header.Set("X-Tenant-ID", tenantID)
		}
		return nil
	}))
	require.NoError(t, err)
	return c
}

var tenantNumber struct {
	sync.Mutex
	n int
}

// newTenant makes a tenant of the test's own with a key, and gives a client that uses it.
func (s *stack) newTenant(t testing.TB, settings mailtura.Settings) (id string, c *mailtura.ClientWithResponses) {
	t.Helper()
	tenantNumber.Lock()
	tenantNumber.n++
	id = fmt.Sprintf("t%d-%d", os.Getpid(), tenantNumber.n)
	tenantNumber.Unlock()
	if settings.FromEmail == nil {
		settings.FromEmail = ptr("noreply@acme.com")
	}
	operator := s.client(t, s.key, "")
	created, err := operator.CreateTenantWithResponse(t.Context(), mailtura.CreateTenant{Name: id, Domain: "acme.com", Settings: &settings})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, created.StatusCode(), string(created.Body))
	require.Equal(t, mailtura.TenantStatus("active"), created.JSON201.Status)
	return id, s.client(t, s.newKey(t, id), "")
}

func (s *stack) newKey(t testing.TB, tenantID string) string {
	t.Helper()
	key, err := s.client(t, s.key, tenantID).CreateApiKeyWithResponse(t.Context(), nil, mailtura.CreateAPIKey{Name: "test"})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
	return key.JSON201.Key
}

func ptr[T any](v T) *T { return &v }
