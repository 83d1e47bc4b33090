package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// oldest is the oldest major version that Mailtura runs on.
const oldest = 15

// folders are where distributions put the programs of the server, beside PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // Fedora, RHEL
	"/opt/homebrew/opt/postgresql@*/bin", // macOS on ARM
	"/usr/local/opt/postgresql@*/bin",    // macOS on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

var errMissing = errors.New(`PostgreSQL 15 or newer is not installed. Install its server programs:
  Debian, Ubuntu:  apt-get install postgresql
  Fedora:          dnf install postgresql-server
  macOS:           brew install postgresql@17
or set DATABASE_URL to use a server that runs already`)

// findBinaries is the folder of the newest initdb and postgres.
func findBinaries(dir string) (string, error) {
	candidates := []string{dir}
	if dir == "" {
		candidates = nil
		if path, err := exec.LookPath("postgres"); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
		for _, pattern := range folders {
			found, err := filepath.Glob(pattern)
			if err != nil {
				return "", fmt.Errorf("look for PostgreSQL: %w", err)
			}
			candidates = append(candidates, found...)
		}
	}
	best, newest := "", 0
	for _, candidate := range candidates {
		if _, err := os.Stat(filepath.Join(candidate, "initdb")); err != nil {
			continue
		}
		if major, err := majorVersion(context.Background(), candidate); err == nil && major > newest {
			best, newest = candidate, major
		}
	}
	if newest < oldest {
		return "", errMissing
	}
	return best, nil
}

var versionForm = regexp.MustCompile(`\b(\d+)[.\w]*`)

// majorVersion asks the program.
func majorVersion(ctx context.Context, bin string) (int, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output() //nolint:gosec // an installed program
	if err != nil {
		return 0, fmt.Errorf("ask PostgreSQL in %s for its version: %w", bin, err)
	}
	numbers := versionForm.FindSubmatch(out)
	if !slices.ContainsFunc(out, func(b byte) bool { return b >= '0' && b <= '9' }) || numbers == nil {
		return 0, fmt.Errorf("PostgreSQL in %s does not say its version: %q", bin, out)
	}
	return strconv.Atoi(string(numbers[1]))
}
