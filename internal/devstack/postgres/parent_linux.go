package postgres

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// startWithParent starts a server that is shut down when this process ends, however it
// ends. The kernel watches the thread that started it, so that thread waits for it and
// does nothing else (https://go.dev/issue/27505).
func startWithParent(cmd *exec.Cmd, ended func()) error {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // it is never unlocked: the thread ends with the goroutine
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the log says why
		ended()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return nil
}
