package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

const (
	limit     = 50   // a second, and burst
	ratedSize = 1250 // emails, for some 24 s
)

// BenchmarkRateLimit measures what one tenant with a backlog makes of its rate limit, with
// several worker processes: no window may have more than is allowed, and nearly all of it
// should be used. One case has hardly a burst, one loses a worker and gets another one
// meanwhile, and one has its limit changed.
func BenchmarkRateLimit(b *testing.B) {
	for _, workers := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			r := newRated(b, workers, limit, limit)
			for b.Loop() {
				r.report(b, r.measure(b, ratedSize, func(int) {}))
			}
		})
	}
	b.Run("small-burst", func(b *testing.B) {
		r := newRated(b, 4, limit, 5)
		for b.Loop() {
			r.report(b, r.measure(b, ratedSize, func(int) {}))
		}
	})
	b.Run("one-killed", func(b *testing.B) {
		r := newRated(b, 4, limit, limit)
		for b.Loop() {
			r.report(b, r.measure(b, 2000, r.killAndReplace(b)))
		}
	})
	b.Run("changed", func(b *testing.B) {
		r := newRated(b, 4, limit, limit)
		for b.Loop() {
			r.changed(b)
		}
	})
}

// rated is an installation with several workers.
type rated struct {
	stack   *testkit.Stack
	meter   *testkit.Meter
	workers []*testkit.Process
	pace    testkit.Pace // what is allowed
}

func newRated(b *testing.B, workers, perSecond, burst int) *rated {
	b.Helper()
	stack, err := testkit.NewStack(b.TempDir())
	require.NoError(b, err)
	b.Cleanup(stack.Stop)
	r := &rated{stack: stack, pace: testkit.Pace{PerSecond: float64(perSecond), Burst: float64(burst)}}
	r.meter, err = testkit.StartMeter()
	require.NoError(b, err)
	b.Cleanup(r.meter.Close)
	api, err := stack.Launch("apiserver", "MAILTURA_LOG_LEVEL=warn")
	require.NoError(b, err)
	b.Cleanup(api.Stop)
	for range workers {
		r.launch(b)
	}
	return r
}

func (r *rated) launch(b *testing.B) {
	b.Helper()
	w, err := r.stack.Launch("worker", "MAILTURA_SMTP_RELAY=smtp://"+r.meter.Address, "MAILTURA_LOG_LEVEL=warn")
	require.NoError(b, err)
	b.Cleanup(w.Stop)
	r.workers = append(r.workers, w)
}

// measure sends emails of one tenant, and gives when they were handed over; meanwhile is
// told how many have been.
func (r *rated) measure(b *testing.B, count int, meanwhile func(begun int)) testkit.Pace {
	b.Helper()
	before := len(r.meter.Begun())
	r.backlog(b, count)
	p := r.pace
	require.Eventually(b, func() bool {
		p.At = r.meter.Begun()[before:]
		meanwhile(len(p.At))
		return len(p.At) >= count
	}, 2*time.Minute, 20*time.Millisecond, "everything arrives")
	return p
}

// backlog has emails of a new tenant accepted, and gives a client of it.
func (r *rated) backlog(b *testing.B, count int) *mailtura.ClientWithResponses {
	b.Helper()
	c := newTenant(b, r.stack, "rated")
	patch(b, r.stack, c, fmt.Sprintf(`{"rateLimit":%v,"rateLimitPer":"second","burst":%v}`, r.pace.PerSecond, r.pace.Burst))
	for range count / 50 { // one dispatch each, so that all workers have something
		require.NoError(b, sendBatch(b.Context(), c, 50))
	}
	return c
}

// patch changes settings of the tenant of a client, once it is set up.
func patch(b *testing.B, stack *testkit.Stack, c *mailtura.ClientWithResponses, settings string) {
	b.Helper()
	usage, err := c.GetUsageWithResponse(b.Context(), nil)
	require.NoError(b, err)
	tenant := usage.JSON200.TenantId
	operator, err := mailtura.NewClientWithResponses(stack.URL, mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+stack.Key)
		return nil
	}))
	require.NoError(b, err)
	require.Eventually(b, func() bool {
		answer, err := operator.GetTenantWithResponse(b.Context(), tenant, nil)
		return err == nil && answer.JSON200 != nil && answer.JSON200.Status == "active"
	}, time.Minute, 10*time.Millisecond, "the tenant is set up")
	answer, err := operator.UpdateTenantWithBodyWithResponse(b.Context(), tenant, nil, "application/json", strings.NewReader(`{"settings":`+settings+`}`))
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, answer.StatusCode(), string(answer.Body))
}

func (r *rated) report(b *testing.B, p testkit.Pace) {
	b.Helper()
	b.ReportMetric(100*p.Used(p.Steady()), "used-%")
	worst := 0.0
	for _, window := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second} {
		worst = max(worst, p.Busiest(window))
	}
	b.ReportMetric(100*worst, "worst-window-%")
	b.ReportMetric(p.Excess(), "excess")
	b.ReportMetric(r.ledger(b).Excess(), "ledger-excess")
	if p.Excess() > 0 {
		b.Errorf("%.2f attempts more than allowed", p.Excess())
	}
}

// ledger is the pace by the times at which the attempts had ended, as the database has them:
// later than the meter's by as long as the hand-over took.
func (r *rated) ledger(b *testing.B) testkit.Pace {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), r.stack.Database.URL("mailtura"))
	require.NoError(b, err)
	defer conn.Close(context.WithoutCancel(b.Context())) //nolint:errcheck // a bench's connection
	rows, err := conn.Query(b.Context(), `SELECT finished_at FROM attempts WHERE verdict = 'accepted' ORDER BY finished_at`)
	require.NoError(b, err)
	p := r.pace
	p.At, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
	require.NoError(b, err)
	return p
}

// killAndReplace kills a worker after a third of the emails, and starts one after half.
func (r *rated) killAndReplace(b *testing.B) func(begun int) {
	b.Helper()
	killed, replaced := false, false
	return func(begun int) {
		switch {
		case !killed && begun > ratedSize/3:
			killed = true
			r.workers[0].Kill()
		case !replaced && begun > ratedSize/2:
			replaced = true
			r.launch(b)
		}
	}
}

// changed raises the limit and lowers it again under a backlog, and reports after which time
// attempts are as many as the new limit allows, and no more.
func (r *rated) changed(b *testing.B) {
	b.Helper()
	c := r.backlog(b, 3000)
	await := func(d time.Duration) (since time.Time) {
		since = time.Now()
		require.Eventually(b, func() bool { return time.Since(since) > d }, time.Minute, 10*time.Millisecond)
		return since
	}
	await(6 * time.Second)
	patch(b, r.stack, c, `{"rateLimit":150,"burst":150}`)
	raised := await(8 * time.Second)
	patch(b, r.stack, c, `{"rateLimit":20,"burst":20}`)
	lowered := await(8 * time.Second)
	all := r.meter.Begun()
	b.ReportMetric(float64(usedAfter(testkit.Pace{At: all, PerSecond: 150, Burst: 150}, raised).Milliseconds()), "raised-after-ms")
	b.ReportMetric(float64(keptAfter(testkit.Pace{At: all, PerSecond: 20, Burst: 20}, lowered).Milliseconds()), "lowered-after-ms")
	patch(b, r.stack, c, `{"rateLimit":null}`) // so that the rest is soon gone
	lifted := time.Now()
	require.Eventually(b, func() bool { return len(r.meter.Begun()) >= 3000 }, time.Minute, 10*time.Millisecond)
	at := r.meter.Begun()
	b.ReportMetric(float64(at[len(at)-1].Sub(lifted).Milliseconds()), "lifted-all-gone-ms")
}

// usedAfter is how long after a change 97 % of the rate are used for three seconds.
func usedAfter(p testkit.Pace, change time.Time) time.Duration {
	for after := time.Duration(0); ; after += 10 * time.Millisecond {
		from := change.Add(after)
		if p.Used(from, from.Add(3*time.Second)) >= 0.97 || after > 8*time.Second {
			return after
		}
	}
}

// keptAfter is how long after a change attempts keep the promise of the rate.
func keptAfter(p testkit.Pace, change time.Time) time.Duration {
	for after := time.Duration(0); ; after += 10 * time.Millisecond {
		if p.After(change.Add(after)).Excess() <= 0 {
			return after
		}
	}
}
