package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailtura/mailtura/internal/apikey"
)

// secretFile is where a key is written, at once or not at all: what reads the file never
// finds half a key.
type secretFile struct {
	name string
	temp *os.File
}

// newSecretFile finds out whether a key could be written, before there is one.
func newSecretFile(name string) (*secretFile, error) {
	old, err := os.ReadFile(name) //nolint:gosec // the operator named it
	if err == nil {
		if _, isKey := apikey.Parse(strings.TrimSpace(string(old))); !isKey {
			return nil, fmt.Errorf("secretFile %s is there already, and is not a key", name)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look at secretFile: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".mailtura-key-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("make secretFile: %w", err)
	}
	return &secretFile{name, temp}, nil
}

func (f *secretFile) keep(secret string) error {
	_, err := f.temp.WriteString(secret + "\n")
	if err = errors.Join(err, f.temp.Sync(), f.temp.Close()); err != nil {
		return fmt.Errorf("write secretFile: %w", err)
	}
	return os.Rename(f.temp.Name(), f.name)
}

func (f *secretFile) close() {
	_ = f.temp.Close()
	_ = os.Remove(f.temp.Name()) // not there any more when the key was kept
}
