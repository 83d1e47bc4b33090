package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack"
	"github.com/mailtura/mailtura/internal/devstack/inbox"
)

// Scripts source dev.env, whatever is in a password.
func TestAnnounce_ShellReadsItBack(t *testing.T) {
	t.Parallel()
	box, err := inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = box.Close(t.Context()) })
	want := map[string]string{
		"MAILTURA_URL":          "http://127.0.0.1:8080",
		"MAILTURA_OPERATOR_KEY": "mt_op_it's",
		"INBOX_URL":             box.URL(),
		"TEMPORAL_ADDRESS":      `a\b"c`,
		"TEMPORAL_UI_URL":       "$(touch pwned) `id` ''",
		"DATABASE_URL":          "postgres://u:p'a ss#!$HOME%25@h/db?a=1&b=2;\n# next line",
	}
	dir := t.TempDir()
	s := &stack{dir: dir, inbox: box, temporal: want["TEMPORAL_ADDRESS"], temporalUI: want["TEMPORAL_UI_URL"], databaseURL: want["DATABASE_URL"]}
	require.NoError(t, s.announce(want["MAILTURA_URL"], want["MAILTURA_OPERATOR_KEY"]))

	for name, value := range want {
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", `. ./dev.env; printf %s "$`+name+`"`)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
		got, err := cmd.CombinedOutput()
		require.NoError(t, err, string(got))
		require.Equal(t, value, string(got), name)
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing was run, and nothing is left over")
	info, err := files[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "it has a key in it")
}

func TestAnnounce_FolderIsGone(t *testing.T) {
	t.Parallel()
	box, err := inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = box.Close(t.Context()) })
	s := &stack{dir: filepath.Join(t.TempDir(), "gone"), inbox: box}
	require.ErrorContains(t, s.announce("u", "k"), "write ")
}

func takePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestCheckPorts_NamesEveryPortAndItsFlag(t *testing.T) {
	t.Parallel()
	c := devCmd{Port: takePort(t), TemporalPort: takePort(t), UIPort: takePort(t), SMTPPort: takePort(t), InboxPort: takePort(t)}
	err := (&stack{devCmd: c}).checkPorts()
	for _, flag := range []string{"--port", "--temporal-port", "--temporal-ui-port", "--inbox-smtp-port", "--inbox-port"} {
		require.ErrorContains(t, err, "choose another with "+flag)
	}
	require.Equal(t, 5, strings.Count(err.Error(), "in use by another program"))

	c.Temporal = "elsewhere:7233"
	err = (&stack{devCmd: c}).checkPorts()
	require.Equal(t, 3, strings.Count(err.Error(), "in use"), "a Temporal from outside needs no ports here")
	require.NoError(t, (&stack{}).checkPorts(), "0 takes a free one")
}

func TestPrepareFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := &stack{devCmd: devCmd{Data: dir}, dir: dir}
	require.NoError(t, first.prepareFolder())
	second := &stack{dir: dir}
	require.ErrorContains(t, second.prepareFolder(), "another mailtura dev runs on "+dir)
	require.NoError(t, first.stop())
	require.NoError(t, second.prepareFolder(), "the lock is given back")
	require.NoError(t, second.stop())
	require.DirExists(t, dir, "what is kept stays")

	ephemeral := &stack{devCmd: devCmd{Ephemeral: true}, dir: dir}
	require.NoError(t, ephemeral.prepareFolder())
	require.NotEqual(t, dir, ephemeral.dir)
	require.DirExists(t, ephemeral.dir)
	require.NoError(t, ephemeral.stop())
	require.NoDirExists(t, ephemeral.dir)
}

// A part that can not start names itself, and what was started before is stopped.
func TestDev_PartsThatDoNotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := devCmd{
		Data: dir, DatabaseURL: "postgres://127.0.0.1:1/none", Temporalite: filepath.Join(dir, "no-temporalite"),
	}
	require.ErrorContains(t, c.Run(t.Context()), "start temporal")
	unlock, err := devstack.Lock(dir)
	require.NoError(t, err)
	unlock()
}
