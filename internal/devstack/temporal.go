// Package devstack starts what `mailtura dev` and the tests run on: a private PostgreSQL
// (postgres), a Temporal server with its UI, and an inbox (inbox). Nothing of it is used in
// production.
package devstack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// TemporalConfig says how to run temporalite.
type TemporalConfig struct {
	Binary      string // path of temporalite; empty: beside this program, then PATH
	PostgresURL string // keep its data there
	SQLiteFile  string // or there; neither: in memory
	Port        int    // of the frontend; 0 = a free one
	UIPort      int    // 0 = a free one
	Dir         string // for the ready file
	Namespace   string
	Attributes  map[string]string // search attributes: name → type
	Output      io.Writer         // what the server has to say
}

// Temporal is a running temporalite.
type Temporal struct {
	Address string `json:"address"`
	UIURL   string `json:"uiUrl"`

	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	err   error
}

// StartTemporal starts temporalite as a child process and returns when it can be used.
// The child ends with this process, however that ends.
func StartTemporal(ctx context.Context, cfg TemporalConfig) (*Temporal, error) {
	binary, err := findTemporalite(cfg.Binary)
	if err != nil {
		return nil, err
	}
	ready := filepath.Join(cfg.Dir, "temporal.ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start temporal: %w", err)
	}
	args := []string{
		"--stop-with-parent", "--ready-file", ready, "--namespace", cfg.Namespace,
		"--port", strconv.Itoa(cfg.Port), "--ui-port", strconv.Itoa(cfg.UIPort),
	}
	if cfg.PostgresURL != "" {
		args = append(args, "--postgres-url", cfg.PostgresURL)
	}
	if cfg.SQLiteFile != "" {
		args = append(args, "--sqlite-file", cfg.SQLiteFile)
	}
	for name, kind := range cfg.Attributes {
		args = append(args, "--search-attribute", name+"="+kind)
	}
	t := &Temporal{done: make(chan struct{})}
	t.cmd = exec.Command(binary, args...) //nolint:gosec,noctx // it is stopped by its stdin, in order
	detach(t.cmd)
	said := &tail{}
	t.cmd.Stdout, t.cmd.Stderr = io.Discard, io.MultiWriter(cfg.Output, said)
	if t.stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start temporal: %w", err)
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start temporal: %w", err)
	}
	go func() {
		t.err = t.cmd.Wait()
		close(t.done)
	}()
	if err := t.awaitReady(ctx, ready, said); err != nil {
		_ = t.Stop(context.WithoutCancel(ctx))
		return nil, err
	}
	return t, nil
}

func findTemporalite(binary string) (string, error) {
	if binary != "" {
		return binary, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "temporalite")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath("temporalite")
	if err != nil {
		return "", errors.New("temporalite is not beside mailtura and not on PATH: " +
			"build it with ./task build:temporalite, or set TEMPORAL_ADDRESS to use another Temporal")
	}
	return found, nil
}

func (t *Temporal) awaitReady(ctx context.Context, ready string, said *tail) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if raw, err := os.ReadFile(ready); err == nil { //nolint:gosec // our own file
			return json.Unmarshal(raw, t)
		}
		select {
		case <-tick.C:
		case <-t.done:
			return fmt.Errorf("temporal did not start: %s", said)
		case <-ctx.Done():
			return fmt.Errorf("wait for temporal: %w", ctx.Err())
		}
	}
}

// Done is closed when the process has ended.
func (t *Temporal) Done() <-chan struct{} { return t.done }

// PID is the process id of the child.
func (t *Temporal) PID() int { return t.cmd.Process.Pid }

// Kill ends the process at once, as a crash would.
func (t *Temporal) Kill() {
	_ = t.cmd.Process.Kill()
	<-t.done
}

// Stop ends the process in order and waits for it; at the end of the context it is killed.
func (t *Temporal) Stop(ctx context.Context) error {
	_ = t.stdin.Close()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		_ = t.cmd.Process.Kill()
		<-t.done
		return fmt.Errorf("stop temporal: %w", ctx.Err())
	}
}

// tail keeps the last line that a process said.
type tail struct{ last string }

func (t *tail) Write(p []byte) (int, error) {
	scanner := bufio.NewScanner(strings.NewReader(string(p)))
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			t.last = line
		}
	}
	return len(p), nil
}

func (t *tail) String() string { return t.last }
