//go:build unix

package devstack

import (
	"os/exec"
	"syscall"
)

// detach gives a child its own process group, so that a Ctrl-C in the terminal reaches
// this process alone, which then stops its children in order.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
