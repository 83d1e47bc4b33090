package devstack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errLocked is what tryLock gives when another process has the lock.
var errLocked = errors.New("locked")

// Lock makes dir and takes it for this process alone. The operating system gives the lock
// back when the process ends, however it ends.
func Lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user below it
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the folder that was asked for
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := tryLock(file); err != nil {
		_ = file.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("another mailtura dev runs on %s: stop it, or choose another folder with --data", dir)
		}
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return func() {
		_ = unlockFile(file) // a child that is just being started may hold the file open
		_ = file.Close()
	}, nil
}
