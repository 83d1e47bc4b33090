package testkit

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
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/devstack"
	"github.com/mailtura/mailtura/internal/devstack/inbox"
	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/keyring"
)

// program is a program of the product: from the environment, or where the build puts it.
func program(name, variable string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name)) // of a folder of test/
	if err != nil {
		panic(err)
	}
	return path
}

// MailturaBinary is the program under test.
func MailturaBinary() string { return program("mailtura", "MAILTURA_BIN") }

// TemporaliteBinary is the Temporal server of the tests.
func TemporaliteBinary() string { return program("temporalite", "TEMPORALITE_BIN") }

// Stack is an installation: its parts, each of which a test can kill.
type Stack struct {
	Dir      string
	Database *postgres.Server
	Temporal *devstack.Temporal
	Inbox    *inbox.Inbox
	DNS      *DNS
	Name     string // of its database and of its Temporal namespace
	Key      string // operator key
	URL      string // of the API
	Master   string // key that secrets are encrypted with
	ports    struct{ database, api, temporal, ui int }
	host     *Stack // whose database server and Temporal it uses; nil: its own
	guests   atomic.Int64
}

// NewStack starts database, Temporal, inbox and name server.
func NewStack(dir string) (*Stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := blank(dir, flow.Namespace)
	s.ports.database, s.ports.temporal, s.ports.ui = freePort(), freePort(), freePort()
	if err := s.StartDatabase(ctx); err != nil {
		return nil, err
	}
	if err := s.StartTemporal(ctx); err != nil {
		return nil, err
	}
	return s, s.furnish(ctx)
}

// Beside makes another installation on the database server and the Temporal of this one, with
// a database and a namespace of its own: for a test that kills or configures only Mailtura.
// Starting those two takes a machine longer than most tests.
func (s *Stack) Beside(dir string) (*Stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	guest := blank(dir, fmt.Sprintf("%s-%d", s.Name, s.guests.Add(1)))
	guest.host, guest.Database, guest.Temporal = s, s.Database, s.Temporal
	if err := guest.prepareNamespace(ctx); err != nil {
		return nil, err
	}
	return guest, guest.furnish(ctx)
}

func blank(dir, name string) *Stack {
	s := &Stack{Dir: dir, Name: name, Key: apikey.New(apikey.Operator).Text(), Master: keyring.NewKey()}
	s.ports.api = freePort()
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", s.ports.api)
	return s
}

// furnish makes its database, and starts its inbox and its name server.
func (s *Stack) furnish(ctx context.Context) (err error) {
	if err := s.Database.CreateDatabase(ctx, s.Name); err != nil {
		return err
	}
	if s.DNS, err = StartDNS(); err != nil {
		return err
	}
	s.Inbox, err = inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", MaxMessages: 100_000})
	return err
}

// DatabaseURL is the URL of its database.
func (s *Stack) DatabaseURL() string { return s.Database.URL(s.Name) }

// StartDatabase starts the database on its data, with fsync; NewStack has done it once.
func (s *Stack) StartDatabase(ctx context.Context) error {
	started, err := postgres.Start(ctx, postgres.Config{
		Dir: filepath.Join(s.Dir, "postgres"), Port: s.ports.database, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		s.Database = started
	}
	return err
}

// StartTemporal starts Temporal on its data; NewStack has done it once.
func (s *Stack) StartTemporal(ctx context.Context) error {
	started, err := devstack.StartTemporal(ctx, devstack.TemporalConfig{
		Binary: TemporaliteBinary(), PostgresURL: s.Database.URL("postgres"), Port: s.ports.temporal, UIPort: s.ports.ui,
		Dir: s.Dir, Namespace: flow.Namespace, Attributes: flow.AttributeTypes(), Output: io.Discard,
	})
	if err == nil {
		s.Temporal = started
	}
	return err
}

// Stop stops what was started for it.
func (s *Stack) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = s.Inbox.Close(ctx)
	_ = s.DNS.Close()
	if s.host != nil {
		return
	}
	_ = s.Temporal.Stop(ctx)
	_ = s.Database.Stop(ctx)
}

var portsGiven atomic.Int64 //nolint:gochecknoglobals // by freePort in this process

// freePort is a port that stays free while its server is away: it is not among those that
// systems give to outgoing connections (from 32768 on Linux, from 49152 elsewhere).
func freePort() int {
	for {
		port := 20_000 + (100*os.Getpid()+int(portsGiven.Add(1)))%10_000
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

// Process is a running role of the product.
type Process struct {
	Cmd  *exec.Cmd
	Done chan struct{} // closed when it has ended
}

// Launch starts a role ("serve", "apiserver", "worker") and returns when it answers.
func (s *Stack) Launch(role string, env ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(s.Dir, role+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a test's file
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(MailturaBinary(), role) //nolint:gosec,noctx // the program under test
	cmd.Env = append(s.Environment(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{Cmd: cmd, Done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(p.Done)
	}()
	if role != "worker" {
		return p, s.awaitAPI(p)
	}
	return p, nil
}

// Environment is what a program needs to find the installation.
func (s *Stack) Environment() []string {
	return append(os.Environ(),
		"DATABASE_URL="+s.DatabaseURL(), "TEMPORAL_ADDRESS="+s.Temporal.Address, "TEMPORAL_NAMESPACE="+s.Name,
		"TEMPORAL_UI_URL="+s.Temporal.UIURL,
		"MAILTURA_SMTP_RELAY=smtp://"+s.Inbox.SMTPAddr(), "MAILTURA_OPERATOR_KEY="+s.Key,
		"MAILTURA_MASTER_KEY="+s.Master, "MAILTURA_DNS_RESOLVER="+s.DNS.Address(), "MAILTURA_WEBHOOK_ALLOW_LOOPBACK=true",
		fmt.Sprintf("MAILTURA_LISTEN=127.0.0.1:%d", s.ports.api), "MAILTURA_URL="+s.URL, "MAILTURA_PUBLIC_URL="+s.URL, "INBOX_URL="+s.Inbox.URL(),
	)
}

func (s *Stack) awaitAPI(p *Process) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if response, err := http.Get(s.URL + "/readyz"); err == nil { //nolint:noctx // a test's probe
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.Done:
			return fmt.Errorf("%s has ended: see %s", p.Cmd.Args[1], s.Dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready in time", p.Cmd.Args[1])
}

// Kill ends the process at once, as a crash would.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Done
}

// Stop ends the process in order.
func (p *Process) Stop() {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
	case <-time.After(40 * time.Second):
		p.Kill()
	}
}
