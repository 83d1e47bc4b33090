package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailtura/mailtura/internal/webhook"
)

// webhookSecretIn reads the secret of a webhook from a file, or writes a new one where there is
// no file: at once or not at all, so that of two who do it both read the same. undo takes away
// what was written.
func webhookSecretIn(name string) (secret webhook.Secret, undo func(), err error) {
	undo = func() {}
	for range 2 {
		text, err := os.ReadFile(name) //nolint:gosec // the operator named it
		if err == nil {
			if secret, err = webhook.ParseSecret(strings.TrimSpace(string(text))); err != nil {
				return nil, undo, fmt.Errorf("read secretFile %s: %w", name, err)
			}
			return secret, undo, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, undo, fmt.Errorf("read secretFile: %w", err)
		}
		written, err := writeNew(name, webhook.NewSecret().Text()+"\n")
		if err != nil {
			return nil, undo, fmt.Errorf("write secretFile: %w", err)
		}
		if written {
			undo = func() { _ = os.Remove(name) }
		}
	}
	return nil, undo, fmt.Errorf("read secretFile %s: it comes and goes", name)
}

// writeNew writes a file for its owner only, unless there is one already.
func writeNew(name, text string) (written bool, err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), ".mailtura-secret-*") // 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // a name that is not needed any more
	_, err = temp.WriteString(text)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return false, err
	}
	if err = os.Link(temp.Name(), name); errors.Is(err, os.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
