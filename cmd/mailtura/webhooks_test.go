package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/keyring"
)

func TestKeyring_FromTheTextOrAFile(t *testing.T) {
	t.Parallel()
	key := keyring.NewKey()
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(key+"\n"), 0o600))
	one, err := secrets{MasterKey: key}.keyring()
	require.NoError(t, err)
	other, err := secrets{MasterKeyFile: file}.keyring()
	require.NoError(t, err)
	text, err := other.Open("x", one.Seal("x", []byte("secret")))
	require.NoError(t, err)
	require.Equal(t, "secret", string(text))

	none, err := secrets{}.keyring()
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = secrets{MasterKey: "hunter2"}.keyring()
	require.EqualError(t, err, "read --master-key: master key 1 is not 32 bytes in base64")
	require.NoError(t, os.WriteFile(file, []byte("hunter2"), 0o600))
	_, err = secrets{MasterKeyFile: file}.keyring()
	require.EqualError(t, err, "read --master-key-file: master key 1 is not 32 bytes in base64")
	_, err = secrets{MasterKeyFile: filepath.Join(t.TempDir(), "gone")}.keyring()
	require.ErrorContains(t, err, "read --master-key-file")
}

// The key of a development stack is made once, and kept for its owner only.
func TestMasterKey_IsKept(t *testing.T) {
	t.Parallel()
	s := &stack{dir: t.TempDir()}
	first, err := s.masterKey()
	require.NoError(t, err)
	_, err = keyring.Parse(first)
	require.NoError(t, err)
	again, err := s.masterKey()
	require.NoError(t, err)
	one, err := keyring.Parse(again)
	require.NoError(t, err)
	both, err := keyring.Parse(first)
	require.NoError(t, err)
	_, err = both.Open("x", one.Seal("x", nil))
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(s.dir, "master.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	given, err := (&stack{devCmd: devCmd{MasterKey: "given"}, dir: s.dir}).masterKey()
	require.NoError(t, err)
	require.Equal(t, "given", given)
	_, err = (&stack{dir: filepath.Join(s.dir, "gone")}).masterKey()
	require.ErrorContains(t, err, "keep master key")
}
