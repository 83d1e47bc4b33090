package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// announce writes dev.env, for scripts, and tells the person at the terminal where
// everything is.
func (s *stack) announce(api, key string) error {
	env := [][2]string{
		{"MAILTURA_URL", api},
		{"MAILTURA_OPERATOR_KEY", key},
		{"INBOX_URL", s.inbox.URL()},
		{"TEMPORAL_ADDRESS", s.temporal},
		{"TEMPORAL_UI_URL", s.temporalUI},
		{"DATABASE_URL", s.databaseURL},
	}
	var lines strings.Builder
	for _, e := range env {
		fmt.Fprintf(&lines, "%s='%s'\n", e[0], strings.ReplaceAll(e[1], "'", `'\''`))
	}
	file := filepath.Join(s.dir, "dev.env")
	if err := writeAtomically(file, lines.String()); err != nil {
		return err
	}
	fmt.Printf(welcome, api, api, s.inbox.URL(), s.temporalUI, key, file, api, key)
	return nil
}

const welcome = `
  Mailtura is ready.

  API           %s/api/v1
  Reference     %s/docs
  Inbox         %s
  Temporal UI   %s
  Operator key  %s
  Environment   %s

  Create a tenant:

    curl -X POST %s/api/v1/tenants \
      -H "Authorization: Bearer %s" \
      -H "Content-Type: application/json" \
      -d '{"name": "acme-corp", "domain": "acme.com", "settings": {"fromEmail": "noreply@acme.com"}}'

  Ctrl-C stops everything.

`

// writeAtomically writes a file that is whole whenever it is there, for its owner only.
func writeAtomically(file, text string) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
