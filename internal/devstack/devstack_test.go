//go:build unix

package devstack_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack"
)

func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	unlock, err := devstack.Lock(dir)
	require.NoError(t, err)
	require.DirExists(t, dir)
	_, err = devstack.Lock(dir)
	require.ErrorContains(t, err, "another mailtura dev runs on "+dir)
	require.ErrorContains(t, err, "--data")
	other, err := devstack.Lock(filepath.Join(dir, "other"))
	require.NoError(t, err)
	other()
	unlock()
	again, err := devstack.Lock(dir)
	require.NoError(t, err, "given back")
	again()
}

func TestLock_FolderCanNotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := devstack.Lock(filepath.Join(file, "data"))
	require.ErrorContains(t, err, "make data folder")
}

// program is a shell script in the place of temporalite; $ready is its ready file.
func program(t *testing.T, script string) devstack.TemporalConfig {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "temporalite")
	text := "#!/bin/sh\necho \"$@\" > '" + dir + "/args'\nready=$3\n" + script + "\n"
	// Written by another process: a child of this one could hold the file open, and so keep it from being run.
	write := exec.CommandContext(t.Context(), "sh", "-c", `cat > "$1" && chmod 700 "$1"`, "sh", file)
	write.Stdin = strings.NewReader(text)
	require.NoError(t, write.Run())
	return devstack.TemporalConfig{Binary: file, Dir: dir, Namespace: "mailtura", Output: &bytes.Buffer{}}
}

const getReady = `echo '{"address": "127.0.0.1:7233", "uiUrl": "http://127.0.0.1:8233"}' > "$ready.new"; mv "$ready.new" "$ready"`

func TestStartTemporal(t *testing.T) {
	t.Parallel()
	cfg := program(t, getReady+"\ncat > /dev/null\nrm \"$ready\"")
	cfg.Port, cfg.UIPort, cfg.SQLiteFile = 7233, 8233, "temporal.db"
	cfg.Attributes = map[string]string{"TenantId": "Keyword"}
	stale := filepath.Join(cfg.Dir, "temporal.ready.json")
	require.NoError(t, os.WriteFile(stale, []byte(`{"address": "stale"}`), 0o600))

	temporal, err := devstack.StartTemporal(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:7233", temporal.Address)
	require.Equal(t, "http://127.0.0.1:8233", temporal.UIURL)
	require.Positive(t, temporal.PID())
	args, err := os.ReadFile(filepath.Join(cfg.Dir, "args"))
	require.NoError(t, err)
	require.Equal(t, "--stop-with-parent --ready-file "+stale+
		" --namespace mailtura --port 7233 --ui-port 8233 --sqlite-file temporal.db --search-attribute TenantId=Keyword\n", string(args))

	require.NoError(t, temporal.Stop(t.Context()))
	<-temporal.Done()
	require.NoFileExists(t, stale, "it ended in order")
	require.NoError(t, temporal.Stop(t.Context()), "once more is no error")
}

func TestStartTemporal_Fails(t *testing.T) {
	t.Parallel()
	cfg := program(t, "echo starting >&2; echo 'temporalite: port 7233 is in use by another program' >&2; exit 1")
	_, err := devstack.StartTemporal(t.Context(), cfg)
	require.EqualError(t, err, "temporal did not start: temporalite: port 7233 is in use by another program")
	require.Contains(t, cfg.Output.(*bytes.Buffer).String(), "starting", "what it says is passed on")

	cfg.Binary = filepath.Join(cfg.Dir, "missing")
	_, err = devstack.StartTemporal(t.Context(), cfg)
	require.ErrorContains(t, err, "start temporal")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStartTemporal_IsGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := devstack.StartTemporal(ctx, program(t, "cat > /dev/null"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestTemporal_IsKilled(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*devstack.Temporal) error{
		"does not stop in time": func(temporal *devstack.Temporal) error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return temporal.Stop(ctx)
		},
		"as by a crash": func(temporal *devstack.Temporal) error {
			temporal.Kill()
			return context.DeadlineExceeded
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temporal, err := devstack.StartTemporal(t.Context(), program(t, getReady+"\nexec tail -f /dev/null"))
			require.NoError(t, err)
			require.ErrorIs(t, end(temporal), context.DeadlineExceeded)
			select {
			case <-temporal.Done():
			default:
				require.Fail(t, "it still runs")
			}
		})
	}
}

// Without the program the message says how to have it.
func TestStartTemporal_ProgramIsNotFound(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := devstack.StartTemporal(t.Context(), devstack.TemporalConfig{Dir: t.TempDir()})
	require.ErrorContains(t, err, "./task build:temporalite")
	require.ErrorContains(t, err, "TEMPORAL_ADDRESS")
}
