package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// handedOver is the path of the first file that a child process is given.
const handedOver = "/dev/fd/3"

// owner is the user as whom PostgreSQL runs: it refuses to run as root.
type owner struct {
	name     string
	uid, gid uint32
	root     bool // we are root, and have to become this user
}

func chooseOwner() (*owner, error) {
	if os.Geteuid() != 0 {
		return &owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return &owner{name: name, uid: uint32(uid), gid: uint32(gid), root: true}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
}

// command is a program that works on a data folder as the owner. The owner need not be able
// to get to the folder by its path, as it can not below the home of root: the folder is
// opened here and handed over, and the program knows it by its descriptor.
func (o *owner) command(name, dataDir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name) //nolint:noctx // an installed program; it is stopped by a signal, in order
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is for our process
	if o.root {
		cmd.Dir = "/"
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
		dir, err := os.Open(dataDir) //nolint:gosec // our own data folder
		if err != nil {
			return nil, fmt.Errorf("open data folder: %w", err)
		}
		cmd.ExtraFiles = []*os.File{dir}
		dataDir = handedOver
	}
	cmd.Args = append([]string{name, "-D", dataDir}, args...)
	return cmd, nil
}

// release closes what was opened for a command that has been started.
func release(cmd *exec.Cmd) {
	for _, file := range cmd.ExtraFiles {
		_ = file.Close()
	}
}

// own gives a folder to the owner.
func (o *owner) own(dir string) error {
	if !o.root {
		return nil
	}
	if err := os.Chown(dir, int(o.uid), int(o.gid)); err != nil {
		return fmt.Errorf("give %s to user %s: %w", dir, o.name, err)
	}
	return nil
}

// secret puts a text into a file that only the owner can read.
func (o *owner) secret(text string) (name string, err error) {
	file, err := os.CreateTemp("", "mailtura-secret-")
	if err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	if _, err := file.WriteString(text + "\n"); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return file.Name(), o.own(file.Name())
}
