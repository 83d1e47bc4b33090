// Package chaos kills the parts of an installation, one after the other and under load, with
// the signal that no program can catch, and then holds three things against each other: what
// callers were told, what the database says, and what the mail server took.
// docs/guarantees.md states what has to come out.
//
//	./task chaos KILLS=20
package chaos

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/testkit"
)

// The tests do not run beside each other: two cores are few enough for one installation.

func TestChaos_Worker(t *testing.T) { //nolint:paralleltest // see above
	s := newSystem(t, 2)
	s.survive(t, func(n int) {
		one := n % len(s.workers)
		s.workers[one].Kill()
		s.workers[one] = s.launch(t, "worker")
	})
}

func TestChaos_API(t *testing.T) { //nolint:paralleltest // see above
	s := newSystem(t, 1)
	s.survive(t, func(int) {
		s.api.Kill()
		s.api = s.launch(t, "apiserver")
	})
}

func TestChaos_Temporal(t *testing.T) { //nolint:paralleltest // see above
	s := newSystem(t, 1)
	s.survive(t, func(int) {
		s.Temporal.Kill()
		require.NoError(t, s.StartTemporal(t.Context()))
	})
}

func TestChaos_Postgres(t *testing.T) { //nolint:paralleltest // see above
	s := newSystem(t, 1)
	s.survive(t, func(int) {
		s.Database.Kill()
		require.NoError(t, s.StartDatabase(t.Context()))
	})
}

// system is an installation with API and workers apart, and a mail server that takes a
// moment for each mail, so that a kill meets some on their way.
type system struct {
	*testkit.Stack
	sink    *testkit.Sink
	api     *testkit.Process
	workers []*testkit.Process
	accepts atomic.Int64 // recipients that callers have a 202 for
}

func newSystem(t *testing.T, workers int) *system {
	t.Helper()
	stack, err := testkit.NewStack(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(stack.Stop)
	sink, err := testkit.StartSink(20 * time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(sink.Close)
	s := &system{Stack: stack, sink: sink}
	s.api = s.launch(t, "apiserver")
	for range workers {
		s.workers = append(s.workers, s.launch(t, "worker"))
	}
	return s
}

func (s *system) launch(t *testing.T, role string) *testkit.Process {
	t.Helper()
	p, err := s.Launch(role, "MAILTURA_SMTP_RELAY=smtp://"+s.sink.Address, "MAILTURA_LOG_LEVEL=warn")
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p
}

// kills is how often each target is killed: few in `./task test`, many in `./task chaos`.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MAILTURA_CHAOS_KILLS")
	if text == "" {
		return 2
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// survive has two tenants send while strike kills and restarts, and checks what became of
// all of it. One tenant has what was cut off sent again, the other has it held. The first
// kills come close together; those after them wait until there is nothing left of the one
// before, and show how long a recovery takes.
func (s *system) survive(t *testing.T, strike func(n int)) {
	t.Helper()
	began := time.Now()
	loads := []*load{s.newLoad(t, "resend"), s.newLoad(t, "hold")}
	for _, l := range loads {
		l.start(t)
	}
	var struck []time.Time
	var back []time.Duration
	times := kills(t)
	together := times/2 + 1
	for n := range times {
		if n >= together {
			s.awaitRecovered(t, struck[n-1])
		}
		s.awaitMore(t, 20+rand.IntN(80))
		struck = append(struck, time.Now())
		strike(n)
		back = append(back, time.Since(struck[n]).Round(10*time.Millisecond))
	}
	s.awaitMore(t, 20)
	for _, l := range loads {
		l.stop(t)
	}
	for _, l := range loads {
		l.askAgain(t)
		s.awaitSettled(t, l)
	}
	t.Logf("%d kills, started again in %v (p50), all settled after %v\n%s", times, median(back), time.Since(began).Round(time.Second),
		s.report(t, loads, struck[min(together, times-1):]))
	for _, l := range loads {
		s.reconcile(t, l, struck)
	}
}

// awaitMore waits until so many mails more have arrived.
func (s *system) awaitMore(t *testing.T, more int) {
	t.Helper()
	before := s.sink.Count()
	require.Eventually(t, func() bool { return s.sink.Count() >= before+more }, 3*time.Minute, 5*time.Millisecond, "mail goes on to arrive")
}

// awaitRecovered waits until what was accepted before a kill has come to its end.
func (s *system) awaitRecovered(t *testing.T, kill time.Time) {
	t.Helper()
	conn := s.connect(t)
	require.Eventually(t, func() bool {
		var open int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM recipients r JOIN emails e ON e.id = r.email_id
			WHERE e.created_at < $1 AND r.status NOT IN ('sent', 'unknown')`, kill).Scan(&open)
		return err == nil && open == 0
	}, 3*time.Minute, 50*time.Millisecond, "what was accepted before the kill arrives")
}

// ptr gives a value an address.
func ptr[T any](v T) *T { return &v }
