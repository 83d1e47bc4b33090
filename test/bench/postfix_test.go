package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// postfixPerSecond is how many messages of 4 kB a second a Postfix of its own takes in over
// SMTP from 20 sessions, queues on disk, and delivers to the sink; 0 where it is not
// installed, or where we are not root, without which it does not run.
func postfixPerSecond(b *testing.B, sink *testkit.Sink) float64 {
	b.Helper()
	source, err := exec.LookPath("smtp-source")
	if err != nil || os.Geteuid() != 0 {
		return 0
	}
	port := startPostfix(b, sink.Address)
	sink.Reset(emails)
	began := time.Now()
	cmd := exec.CommandContext(b.Context(), source, "-s", "20", "-m", strconv.Itoa(emails), "-l", "4096",
		"-f", "noreply@acme.com", "-t", recipient, "127.0.0.1:"+port)
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)
	require.NoError(b, sink.Await(arrivesWithin))
	return emails / time.Since(began).Seconds()
}

// startPostfix runs a Postfix that relays everything to the sink, and gives its port.
func startPostfix(b *testing.B, sink string) (port string) {
	b.Helper()
	dir, err := os.MkdirTemp("", "mailtura-postfix-") //nolint:usetesting // b.TempDir is closed to Postfix's user
	require.NoError(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(b, os.Chmod(dir, 0o755))
	host, sinkPort, err := net.SplitHostPort(sink)
	require.NoError(b, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(b, err)
	require.NoError(b, l.Close())
	for _, name := range []string{"conf", "queue", "data"} {
		require.NoError(b, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	run(b, "chown", "postfix", filepath.Join(dir, "data"))
	conf := filepath.Join(dir, "conf")
	write := func(name, text string) {
		require.NoError(b, os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644))
	}
	write("main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[1]s/data/mail.log
maillog_file_prefixes = /
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
relayhost = [%[2]s]:%[3]s
inet_protocols = ipv4
alias_maps =
alias_database =
`, dir, host, sinkPort))
	master, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	require.NoError(b, err)
	var services strings.Builder
	for line := range strings.Lines(string(master)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 8 || strings.HasPrefix(line, "#") || strings.HasPrefix(line, " "):
			continue
		case fields[0] == "smtp" && fields[1] == "inet":
			fields[0] = "127.0.0.1:" + port
		case fields[1] == "inet":
			continue
		}
		fields[4] = "n" // without a chroot, which nobody has filled
		services.WriteString(strings.Join(fields, " ") + "\n")
	}
	write("master.cf", services.String())
	run(b, "postfix", "-c", conf, "start")
	b.Cleanup(func() { run(b, "postfix", "-c", conf, "stop") })
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}, 20*time.Second, 50*time.Millisecond, "Postfix listens")
	return port
}

func run(b *testing.B, name string, args ...string) {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(b, err, "%s", out)
}
