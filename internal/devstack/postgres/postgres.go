// Package postgres runs a private PostgreSQL from the programs that are installed on this
// machine, for development and tests. It listens on the loopback interface only, with a
// password of its own, and ends with the process that started it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the only role of the server.
const superuser = "mailtura"

// Config of a server.
type Config struct {
	Dir    string // its data, log and password; made when it is missing
	Port   int    // 0 = a free one, chosen at each start
	BinDir string // folder of initdb and postgres; empty: they are looked for
	// Fast trades durability for speed, as tests want it: a crash of the machine loses the data.
	Fast   bool
	Logger *slog.Logger
}

// Server is a running PostgreSQL.
type Server struct {
	dir      string
	port     int
	password string
	cmd      *exec.Cmd
	done     chan struct{}
}

// Start starts a server on the data in cfg.Dir, which it makes when there is none, and
// returns when it answers. A server that a killed process left on the same data is
// stopped first.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	bin, err := findBinaries(cfg.BinDir)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	owner, err := chooseOwner()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.prepare(ctx, bin, owner, cfg.Fast); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(leftoversEnd); ; {
		err := s.startOnce(ctx, bin, owner, cfg)
		if err == nil {
			return s, nil
		}
		passes := errors.Is(err, errLeftovers) || cfg.Port == 0 && errors.Is(err, errPortTaken)
		if !passes || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// errLeftovers: child processes of a server that was killed still hold its shared memory.
// They notice, and end.
var errLeftovers = errors.New("processes of an earlier run have not ended")

// errPortTaken: another program took the port between its choice and the server's start.
var errPortTaken = errors.New("its port was taken by another program")

const leftoversEnd = 30 * time.Second

// startOnce starts the server and returns when it answers.
func (s *Server) startOnce(ctx context.Context, bin string, owner *owner, cfg Config) (err error) {
	s.done = make(chan struct{})
	if s.port, err = choosePort(cfg.Port); err != nil {
		return err
	}
	logged := s.logSize()
	if err := s.launch(bin, owner, cfg); err != nil {
		return err
	}
	if err := s.awaitReady(ctx, logged); err != nil {
		_ = s.Stop(context.WithoutCancel(ctx))
		return err
	}
	return nil
}

func choosePort(port int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("port %d for PostgreSQL is in use by another program", port)
	}
	defer listener.Close() //nolint:errcheck // nothing was sent over it
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// settings suit one machine that does other things as well.
func settings(fast bool) map[string]string {
	s := map[string]string{ //nolint:gosec // "password_encryption" names a method
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "300",
		"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "wal_compression": "on",
		"random_page_cost": "1.1", "jit": "off", "log_min_messages": "warning", "log_statement": "none",
		"password_encryption": "scram-sha-256",
	}
	if fast {
		s["fsync"], s["synchronous_commit"], s["full_page_writes"] = "off", "off", "off"
		s["shared_buffers"], s["max_wal_size"] = "64MB", "1GB"
	}
	return s
}

func (s *Server) launch(bin string, owner *owner, cfg Config) error {
	args := []string{"-p", strconv.Itoa(s.port)}
	for name, value := range settings(cfg.Fast) {
		args = append(args, "-c", name+"="+value)
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of PostgreSQL: %w", err)
	}
	if s.cmd, err = owner.command(filepath.Join(bin, "postgres"), s.data(), args...); err != nil {
		return err
	}
	defer release(s.cmd)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	return startWithParent(s.cmd, func() {
		_ = log.Close()
		close(s.done)
	})
}

// awaitReady returns when the server takes connections. What its log had before it was
// started is not its own.
func (s *Server) awaitReady(ctx context.Context, logged int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			said := s.saidSince(logged)
			for sign, cause := range map[string]error{"old server processes": errLeftovers, "could not create any TCP/IP sockets": errPortTaken} {
				if slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, sign) }) {
					return fmt.Errorf("PostgreSQL did not start: %w", cause)
				}
			}
			return fmt.Errorf("PostgreSQL did not start: %s", said[len(said)-1])
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logSize is how much the log has.
func (s *Server) logSize() int64 {
	info, err := os.Stat(s.log())
	if err != nil {
		return 0
	}
	return info.Size()
}

// saidSince is what the log has after so many bytes, at least a line. Among it may be what
// ending processes of an earlier run say.
func (s *Server) saidSince(logged int64) []string {
	raw, err := os.ReadFile(s.log())
	if err != nil || int64(len(raw)) <= logged {
		return []string{"it left no log"}
	}
	return strings.Split(strings.TrimSpace(string(raw[logged:])), "\n")
}

// URL is the address of a database on the server, with the password in it.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// CreateDatabase makes a database where it is missing.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	return nil
}

// Dir is the folder of the server's data, log and password.
func (s *Server) Dir() string { return s.dir }

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// PID is the process id of the server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the server at once, as a crash would: the next start recovers from its log.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // an error: it has ended
	<-s.done
}

// Stop ends the server in order (a fast shutdown) and waits for it; at the end of the
// context it is killed.
func (s *Server) Stop(ctx context.Context) error {
	_ = s.cmd.Process.Signal(syscall.SIGINT) // an error: it has ended
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("stop PostgreSQL: %w", ctx.Err())
	}
}

func (s *Server) log() string { return filepath.Join(s.dir, "postgres.log") }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
