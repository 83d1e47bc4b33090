package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/postgres"
)

// childDir makes the test program a parent that starts a server and waits to be killed.
const childDir = "MAILTURA_TEST_POSTGRES_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := postgres.Start(context.Background(), postgres.Config{Dir: dir, Fast: true})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cfg postgres.Config) *postgres.Server {
	t.Helper()
	cfg.Fast, cfg.Logger = true, slog.New(slog.DiscardHandler)
	s, err := postgres.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // a test's connection
	var out string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func TestStart_KeepsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pg") // below a folder that only its owner may enter
	s := start(t, postgres.Config{Dir: dir})
	require.NoError(t, s.CreateDatabase(t.Context(), "mail"))
	require.NoError(t, s.CreateDatabase(t.Context(), "mail"), "again")
	require.Equal(t, "1", query(t, s.URL("mail"), "WITH t AS (SELECT 1) SELECT count(*)::text FROM t"))
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Stop(t.Context()), "again")

	again := start(t, postgres.Config{Dir: dir})
	require.Equal(t, "mail", query(t, again.URL("mail"), "SELECT current_database()::text"))
}

func TestStart_NeedsThePassword(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Config{Dir: t.TempDir()})
	cfg, err := pgx.ParseConfig(s.URL("postgres"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", cfg.Host)
	cfg.Password = "guess"
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	require.ErrorContains(t, err, "28P01")
	info, err := os.Stat(filepath.Join(s.Dir(), "password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestStart_AfterAKillOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, postgres.Config{Dir: dir})
	require.NoError(t, s.CreateDatabase(t.Context(), "mail"))
	s.Kill()
	again := start(t, postgres.Config{Dir: dir})
	require.Equal(t, "mail", query(t, again.URL("mail"), "SELECT current_database()::text"))
}

func TestStart_AfterAKillOfItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childDir+"="+dir)
	stdin, err := parent.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close() //nolint:errcheck // it is killed
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var pid int
	_, err = fmt.Sscan(line, &pid)
	require.NoError(t, err, line)
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, 20*time.Second, 20*time.Millisecond,
		"the server ends with its parent")
	start(t, postgres.Config{Dir: dir})
}

func TestStart_HalfMadeDataIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700))
	start(t, postgres.Config{Dir: dir})
}

func TestStart_PortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a test's listener
	port := l.Addr().(*net.TCPAddr).Port
	_, err = postgres.Start(t.Context(), postgres.Config{Dir: t.TempDir(), Port: port, Fast: true})
	require.ErrorContains(t, err, fmt.Sprintf("port %d", port))
}

func TestStart_DataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("x\n"), 0o600))
	_, err := postgres.Start(t.Context(), postgres.Config{Dir: dir})
	require.ErrorContains(t, err, "is of PostgreSQL 9")
}

func TestStart_ProgramsMissing(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), postgres.Config{Dir: t.TempDir(), BinDir: t.TempDir()})
	require.ErrorContains(t, err, "apt-get install postgresql")
	require.Equal(t, 1, strings.Count(err.Error(), "brew install"))
}
