package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prepare makes the folder and the data in it where they are missing. The data is made
// under another name and then renamed: what is there under its own name is whole.
func (s *Server) prepare(ctx context.Context, bin string, owner *owner, fast bool) error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return fmt.Errorf("make folder of PostgreSQL: %w", err)
	}
	passwordFile := filepath.Join(s.dir, "password")
	if raw, err := os.ReadFile(passwordFile); err == nil { //nolint:gosec // our own folder
		s.password = strings.TrimSpace(string(raw))
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil && s.password != "" {
		if err := checkVersion(ctx, bin, s.data()); err != nil {
			return err
		}
		return stopLeftover(ctx, s.data())
	}
	if _, err := os.Stat(s.data()); err == nil {
		return fmt.Errorf("%s is there, but is not complete: move it away, and it is made anew", s.data())
	}
	s.password = rand.Text()
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password of PostgreSQL: %w", err)
	}
	return s.initialize(ctx, bin, owner, fast)
}

func (s *Server) initialize(ctx context.Context, bin string, owner *owner, fast bool) error {
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove half-made data: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := owner.own(fresh); err != nil {
		return err
	}
	password, err := owner.secret(s.password)
	if err != nil {
		return err
	}
	defer os.Remove(password) //nolint:errcheck // a file of our own
	args := []string{"-U", superuser, "--auth=scram-sha-256", "--pwfile=" + password, "--encoding=UTF8", "--locale=C"}
	if fast {
		args = append(args, "--no-sync")
	}
	cmd, err := owner.command(filepath.Join(bin, "initdb"), fresh, args...)
	if err != nil {
		return err
	}
	defer release(cmd)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("make database cluster: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(fresh, s.data()); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	return nil
}

// checkVersion refuses data of another major version: PostgreSQL would, with less to say.
func checkVersion(ctx context.Context, bin, data string) error {
	raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION")) //nolint:gosec // our own data folder
	if err != nil {
		return fmt.Errorf("read version of data: %w", err)
	}
	major, err := majorVersion(ctx, bin)
	if err != nil {
		return err
	}
	if have := strings.TrimSpace(string(raw)); have != strconv.Itoa(major) {
		return fmt.Errorf("the data in %s is of PostgreSQL %s, and the programs in %s are version %d: "+
			"install version %s, or choose another data folder", data, have, bin, major, have)
	}
	return nil
}

// stopLeftover ends a server that still runs on the data because the process that started
// it was killed. A postmaster.pid of a process that is gone is no obstacle to PostgreSQL.
func stopLeftover(ctx context.Context, data string) error {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid")) //nolint:gosec // our own data folder
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a running server: %w", err)
	}
	lines := strings.SplitN(string(raw), "\n", 3)
	pid, _ := strconv.Atoi(strings.TrimSpace(lines[0])) // 0 is no process of ours either
	if len(lines) < 2 || (lines[1] != data && lines[1] != handedOver) || pid <= 0 || !isPostgres(pid) {
		return nil // PostgreSQL judges the file itself
	}
	_ = syscall.Kill(pid, syscall.SIGINT)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if !alive(pid) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("a PostgreSQL of an earlier run (process %d) does not stop", pid)
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// isPostgres reports whether a process is a PostgreSQL, as far as the system tells: a
// process id can have been given to another program meanwhile.
func isPostgres(pid int) bool {
	if !alive(pid) {
		return false
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err != nil || strings.HasPrefix(string(raw), "postgres")
}
