package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// dev is a running `mailtura dev`.
type dev struct {
	*testkit.Process
	env map[string]string // of dev.env
}

// startDev runs `mailtura dev` on a folder with free ports, and waits for its dev.env.
func startDev(t *testing.T, dir string, args ...string) *dev {
	t.Helper()
	envFile := filepath.Join(dir, "dev.env")
	require.NoError(t, os.RemoveAll(envFile))
	cmd := exec.Command(testkit.MailturaBinary(), append([]string{
		"dev", "--data", dir, "--port", "0", "--temporal-port", "0", "--temporal-ui-port", "0", "--inbox-smtp-port", "0", "--inbox-port", "0",
		"--temporalite", testkit.TemporaliteBinary(),
	}, args...)...)
	log, err := os.Create(filepath.Join(t.TempDir(), "dev.log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	d := &dev{Process: &testkit.Process{Cmd: cmd, Done: make(chan struct{})}, env: map[string]string{}}
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(d.Done)
	}()
	t.Cleanup(d.Stop)
	require.Eventually(t, func() bool {
		_, err := os.Stat(envFile)
		return err == nil
	}, 60*time.Second, 50*time.Millisecond, "dev.env is written")
	file, err := os.Open(envFile)
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // read only
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		name, value, _ := strings.Cut(scanner.Text(), "=")
		d.env[name] = strings.Trim(value, "'")
	}
	return d
}

// children are the processes below the given one.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var all []int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, task := range tasks {
		raw, err := os.ReadFile(task)
		if err != nil { // a thread that has just ended
			continue
		}
		for field := range strings.FieldsSeq(string(raw)) {
			var child int
			_, err := fmt.Sscan(field, &child)
			require.NoError(t, err)
			all = append(all, child)
		}
	}
	return all
}

func requireEnded(t *testing.T, pids []int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	}, 60*time.Second, 50*time.Millisecond, "processes %v end", pids)
}

// A second start has everything of the first, also when the first was killed, and a
// Ctrl-C leaves nothing behind.
func TestDev_KeepsDataAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDev(t, dir)
	s := &stack{&testkit.Stack{URL: first.env["MAILTURA_URL"], Key: first.env["MAILTURA_OPERATOR_KEY"]}}
	for _, name := range []string{"INBOX_URL", "TEMPORAL_ADDRESS", "TEMPORAL_UI_URL", "DATABASE_URL"} {
		require.NotEmpty(t, first.env[name], name)
	}
	tenant, c := s.newTenant(t, mailtura.Settings{})
	accepted := send(t, c, mailtura.SendEmail{To: to("ada@example.com"), Subject: ptr("Hi"), Text: ptr("Hi")})
	awaitStatus(t, c, accepted.Id, "sent", 60*time.Second)
	running := children(t, first.Cmd.Process.Pid)
	require.Len(t, running, 2, "PostgreSQL and Temporal")
	first.Kill()
	requireEnded(t, running)

	second := startDev(t, dir)
	require.Equal(t, s.Key, second.env["MAILTURA_OPERATOR_KEY"])
	s.URL = second.env["MAILTURA_URL"]
	got, err := s.client(t, s.Key, tenant).GetEmailWithResponse(t.Context(), accepted.Id, nil)
	require.NoError(t, err)
	require.Equal(t, mailtura.EmailStatus("sent"), got.JSON200.Status)
	response, err := http.Get(second.env["INBOX_URL"] + "/api/v1/messages")
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // not read
	require.Equal(t, http.StatusOK, response.StatusCode)
	running = children(t, second.Cmd.Process.Pid)
	require.NoError(t, second.Cmd.Process.Signal(os.Interrupt))
	<-second.Done
	require.True(t, second.Cmd.ProcessState.Success(), "a Ctrl-C is an ordinary end")
	requireEnded(t, running)
}

func TestDev_PortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a test's listener
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	out, err := exec.Command(testkit.MailturaBinary(), "dev", "--data", t.TempDir(), "--port", port, "--temporal-port", "0",
		"--temporal-ui-port", "0", "--inbox-smtp-port", port, "--inbox-port", "0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "port "+port+" is in use by another program; choose another with --port")
	require.Contains(t, string(out), "--inbox-smtp-port")
}

func TestDev_OneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startDev(t, dir, "--ephemeral=false")
	out, err := exec.Command(testkit.MailturaBinary(), "dev", "--data", dir, "--port", "0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "another mailtura dev runs on "+dir)
}
