package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// TestMain makes the test's program mailtura itself where a test asks for that.
func TestMain(m *testing.M) {
	if os.Getenv("MAILTURA_TEST_RUN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// outcome is what a run of the program came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// mailturaWith runs the program with an environment of its own.
func mailturaWith(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{"MAILTURA_TEST_RUN=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func parser(t *testing.T, c *cli) *kong.Kong {
	t.Helper()
	k, err := kong.New(c, kong.Name("mailtura"), kong.Exit(func(code int) { t.Errorf("exit %d", code) }))
	require.NoError(t, err)
	return k
}

func TestCLI_Commands(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for line, want := range map[string]struct {
		command string
		got     func(c cli) []any
		values  []any
	}{
		"dev --ephemeral --port 0 --temporal-port=1 --inbox-port 2": {"dev", func(c cli) []any {
			return []any{c.Dev.Ephemeral, c.Dev.Port, c.Dev.TemporalPort, c.Dev.UIPort, c.Dev.SMTPPort, c.Dev.InboxPort}
		}, []any{true, 0, 1, 8233, 1025, 2}},
		"dev --data d --no-log-json --log-level debug": {"dev", func(c cli) []any {
			return []any{filepath.IsAbs(c.Dev.Data), c.Dev.LogJSON, c.Dev.LogLevel}
		}, []any{true, false, slog.LevelDebug}},
		"serve --no-migrate --listen :80 --smtp-relay smtp://h,smtp://i": {"serve", func(c cli) []any {
			return []any{c.Serve.Migrate, c.Serve.Listen, c.Serve.SMTPRelay}
		}, []any{false, ":80", []string{"smtp://h", "smtp://i"}}},
		"apiserver --temporal-namespace other": {"apiserver", func(c cli) []any {
			return []any{c.Apiserver.Migrate, c.Apiserver.Namespace}
		}, []any{true, "other"}},
		"worker --temporal-address t:1": {"worker", func(c cli) []any { return []any{c.Worker.Temporal} }, []any{"t:1"}},
		"migrate --database-url d":      {"migrate", func(c cli) []any { return []any{c.Migrate.DatabaseURL} }, []any{"d"}},
		"plan -f " + file + " --key k":  {"plan", func(c cli) []any { return []any{c.Plan.File, c.Plan.Prune} }, []any{file, false}},
		"apply --prune --file " + file + " --key k --url http://h": {"apply", func(c cli) []any {
			return []any{c.Apply.File, c.Apply.Prune, c.Apply.Key, c.Apply.URL}
		}, []any{file, true, "k", "http://h"}},
		"keys create-operator --database-url d --name ops": {"keys create-operator", func(c cli) []any {
			return []any{c.Keys.CreateOperator.DatabaseURL, c.Keys.CreateOperator.Name}
		}, []any{"d", "ops"}},
		"openapi": {"openapi", func(cli) []any { return nil }, nil},
		"version": {"version", func(cli) []any { return nil }, nil},
	} {
		var c cli
		k, err := parser(t, &c).Parse(strings.Fields(line))
		require.NoError(t, err, line)
		require.Equal(t, want.command, k.Command())
		require.Equal(t, want.values, want.got(c), line)
	}
}

func TestCLI_Refuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                             "expected one of",
		"send":                         "unexpected argument send",
		"dev --port many":              "--port",
		"serve --log-level loud":       "--log-level",
		"worker --listen :80":          "unknown flag --listen",
		"apply -f /does/not/exist.yml": "exist.yml",
		"version now":                  "unexpected argument now",
		"keys create-operator --database-url d --scope tenants:eat": "\"tenants:eat\" is none of",
		"keys create-operator --database-url d --expires-in=-1h":    "is over already",
		"keys revoke-operator --database-url d":                     "<id>",
	} {
		var c cli
		_, err := parser(t, &c).Parse(strings.Fields(line))
		require.ErrorContains(t, err, want, line)
	}
}

func TestMain_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"serve":                "mailtura: no database: set --database-url or DATABASE_URL",
		"apiserver":            "mailtura: no database: set --database-url or DATABASE_URL",
		"worker":               "mailtura: no database: set --database-url or DATABASE_URL",
		"migrate":              "mailtura: no database: set --database-url or DATABASE_URL",
		"plan":                 "missing flags: --file=FILE, --key=mt_op_…",
		"apply":                "missing flags: --file=FILE, --key=mt_op_…",
		"keys create-operator": "missing flags: --database-url=postgres://…",
		"keys":                 "create-operator",
	} {
		run := mailturaWith(t, nil, strings.Fields(command)...)
		require.NotZero(t, run.code, command)
		require.Contains(t, run.stderr, want, command)
	}
}

func TestMain_ReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	run := mailturaWith(t, []string{"DATABASE_URL=postgres://127.0.0.1:1/nothing?connect_timeout=1", "MAILTURA_LOG_LEVEL=error"}, "migrate")
	require.Equal(t, 1, run.code)
	require.Contains(t, run.stderr, "mailtura: ")
	require.NotContains(t, run.stderr, "no database: set")
	run = mailturaWith(t, []string{"MAILTURA_LOG_JSON=perhaps"}, "serve")
	require.Contains(t, run.stderr, "perhaps")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Equal(t, outcome{stdout: "mailtura dev\n"}, mailturaWith(t, nil, "version"))
}

func TestOpenAPI_IsTheDocumentOfTheRepository(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../openapi.yaml")
	require.NoError(t, err)
	run := mailturaWith(t, nil, "openapi")
	require.Zero(t, run.code, run.stderr)
	require.Equal(t, string(want), run.stdout, "./task gen brings it up to date")
}

func TestEnsureOperatorKey_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "mt_op_", "mt_live_abcdefgh_secret"} {
		err := ensureOperatorKey(t.Context(), nil, text)
		require.ErrorContains(t, err, "mt_op_…", text)
		require.ErrorContains(t, err, "keys create-operator", text)
		require.NotContains(t, err.Error(), "secret", text)
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	for relay, want := range map[string]string{
		"mail:25":                      "read --smtp-relay",
		"smtp://u:s3cret@mail.example": "in clear",
	} {
		_, err := (&app{settings: settings{SMTPRelay: []string{relay}}}).relay()
		require.ErrorContains(t, err, want, relay)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := (&app{}).relay()
	require.ErrorContains(t, err, "set --smtp-relay or MAILTURA_SMTP_RELAY")
	r, err := (&app{settings: settings{SMTPRelay: []string{"smtp://127.0.0.1:1", "smtp://127.0.0.1:2"}}}).relay()
	require.NoError(t, err)
	r.Close()
}
