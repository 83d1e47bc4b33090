//go:build !linux

package postgres

import (
	"fmt"
	"os/exec"
)

// startWithParent starts a server. It can outlive a process that is killed; the next start
// on the same data stops it.
func startWithParent(cmd *exec.Cmd, ended func()) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	go func() {
		_ = cmd.Wait() // the log says why
		ended()
	}()
	return nil
}
