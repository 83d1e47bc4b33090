package audit_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/audit"
)

// file is a log as it is exported.
func file(t testing.TB, log []audit.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range log {
		line, err := e.Line()
		require.NoError(t, err)
		b.Write(line)
	}
	return b.Bytes()
}

// verifyFile checks a file, and gives the head of what fitted.
func verifyFile(r io.Reader) (audit.Head, error) {
	var c audit.Chain
	for e, err := range audit.Read(r) {
		if err == nil {
			err = c.Add(e)
		}
		if err != nil {
			return c.Head(), err
		}
	}
	return c.Head(), nil
}

func TestRead(t *testing.T) {
	t.Parallel()
	log := newLog(t, 3)
	head, err := verifyFile(bytes.NewReader(file(t, log)))
	require.NoError(t, err)
	require.Equal(t, audit.Head{Number: 3, Hash: log[2].Hash}, head)
	head, err = verifyFile(strings.NewReader(""))
	require.NoError(t, err)
	require.Zero(t, head)
	head, err = verifyFile(strings.NewReader(strings.TrimSuffix(string(file(t, log)), "\n")))
	require.NoError(t, err)
	require.Equal(t, int64(3), head.Number)
}

func TestRead_Broken(t *testing.T) {
	t.Parallel()
	whole := string(file(t, newLog(t, 3)))
	lines := strings.SplitAfter(whole, "\n")
	for name, tc := range map[string]struct{ text, want string }{
		"not JSON":        {lines[0] + "nonsense\n", "line 2: not an entry: "},
		"empty line":      {lines[0] + "\n" + lines[1], "line 2: not an entry: "},
		"cut off":         {whole[:len(whole)-20], "line 3: not an entry: "},
		"unknown member":  {`{"number":1,"x":2}`, `line 1: not an entry: json: unknown field "x"`},
		"two in a line":   {strings.TrimSuffix(lines[0], "\n") + lines[1], "line 1: not an entry: { comes behind it"},
		"garbage behind":  {strings.TrimSuffix(lines[0], "\n") + "]\n", "line 1: not an entry: "},
		"of another type": {"[]", "line 1: not an entry: "},
		"too long":        {`{"note":"` + strings.Repeat("x", 5<<20) + `"}`, "read file: "},
	} {
		_, err := verifyFile(strings.NewReader(tc.text))
		require.ErrorContains(t, err, tc.want, name)
	}
	broken := errors.New("broken disk")
	_, err := verifyFile(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
	for e, err := range audit.Read(strings.NewReader(whole)) {
		require.NoError(t, err)
		require.Equal(t, int64(1), e.Number)
		break // a reader may stop
	}
}

// What is read is an entry, and what was written from it is read as the same: no file that is
// not one passes, and none makes the reader fail in another way than with an error.
func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"number":1,"at":"2026-11-25T12:00:00Z","actor":{"kind":"system","id":""},"action":"tenant.create","tenantId":null,"target":"x","before":null,"after":{"a":[1e3,"ü"]},"note":"","requestId":"","previous":"00","hash":"ff"}`))
	f.Add([]byte(`{"before":{"a":1,"a":2}}`))
	f.Add([]byte(`{"after":1e999}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := audit.ParseLine(line)
		if err != nil {
			return
		}
		var c audit.Chain
		verdict := c.Add(e)
		written, err := e.Line()
		require.NoError(t, err)
		again, err := audit.ParseLine(written)
		require.NoError(t, err)
		var second audit.Chain
		require.Equal(t, verdict, second.Add(again))
	})
}
