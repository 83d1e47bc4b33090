package bench

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailtura/mailtura/internal/testkit"
)

// account is the processor time that the parts of an installation have used, by part. It
// hardly depends on what else the machine does.
type account map[string]time.Duration

// tick is the unit of processor time in /proc (proc(5): USER_HZ, which is 100 everywhere).
const tick = 10 * time.Millisecond

// readAccount reads the account of all that this benchmark has started, itself included.
// Of PostgreSQL's processes those that serve a database are named after it.
func readAccount(stack *testkit.Stack) account {
	all := account{}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, entry := range entries {
		raw, err := os.ReadFile(entry)
		if err != nil {
			continue // it has ended
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(entry), "cmdline"))
		if err != nil {
			continue
		}
		pid, rest, _ := strings.Cut(string(raw), " (")
		fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // fields[0] is the third of proc(5)
		if part := partOf(stack, pid, fields[1], strings.Trim(string(command), "\x00")); part != "" {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			all[part] += time.Duration(user+system) * tick
		}
	}
	return all
}

func partOf(stack *testkit.Stack, pid, parent, command string) string {
	switch {
	case pid == strconv.Itoa(os.Getpid()):
		return "callers+sink"
	case pid == strconv.Itoa(served.Cmd.Process.Pid):
		return "mailtura"
	case pid == strconv.Itoa(stack.Temporal.PID()):
		return "temporal"
	case parent != strconv.Itoa(stack.Database.PID()):
		return ""
	}
	switch words := strings.Fields(command); { // "postgres: mailtura temporal 127.0.0.1(5432) idle"
	case len(words) > 3 && strings.HasPrefix(words[2], "temporal"):
		return "postgres-temporal"
	case len(words) > 3 && words[2] == "mailtura":
		return "postgres-mailtura"
	}
	return "postgres-other"
}

// reportAccount reports the processor time of each part since an account, per email.
func reportAccount(b *testing.B, stack *testkit.Stack, since account, emails int) {
	b.Helper()
	now := readAccount(stack)
	total := time.Duration(0)
	for _, part := range slices.Sorted(maps.Keys(now)) {
		used := now[part] - since[part]
		total += used
		b.ReportMetric(float64(used.Microseconds())/float64(emails), "µs-cpu/email:"+part)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(emails), "µs-cpu/email")
}

// total is the processor time of all parts since the account was read, in µs.
func (a account) total(stack *testkit.Stack) (us float64) {
	for part, used := range readAccount(stack) {
		us += float64((used - a[part]).Microseconds())
	}
	return us
}
