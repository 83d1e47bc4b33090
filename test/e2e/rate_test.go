package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// Several workers together keep one tenant's rate limit over every window, to the attempt,
// and use what it allows. That one of them is killed and another one is started adds nothing.
// The meter sees an attempt when its MAIL command comes, a moment after it has passed the
// worker's gate, so that a busy machine can only bring attempts nearer to each other.
func TestRateLimit_SeveralWorkers(t *testing.T) {
	t.Parallel()
	const (
		limit = 50
		count = 800
	)
	s, err := newStack(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	meter, err := testkit.StartMeter()
	require.NoError(t, err)
	t.Cleanup(meter.Close)
	api, err := s.Launch("apiserver")
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	launch := func() *testkit.Process {
		w, err := s.Launch("worker", "MAILTURA_SMTP_RELAY=smtp://"+meter.Address)
		require.NoError(t, err)
		t.Cleanup(w.Stop)
		return w
	}
	workers := []*testkit.Process{launch(), launch(), launch(), launch()}
	_, c := s.newTenant(t, mailtura.Settings{
		RateLimit: ptr(int64(limit)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second")), Burst: ptr(int64(limit)),
	})
	for i := range count / 100 { // several dispatches, for several workers
		batch := mailtura.SendBatch{}
		for range 100 {
			batch.Emails = append(batch.Emails, mailtura.SendEmail{To: to(fmt.Sprintf("n%d@example.com", i)), Subject: ptr("Hi"), Text: ptr("Hi")})
		}
		accepted, err := c.SendEmailBatchWithResponse(t.Context(), nil, batch)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, accepted.StatusCode(), string(accepted.Body))
	}
	attempts := func(n int) testkit.Pace {
		pace := testkit.Pace{PerSecond: limit, Burst: limit}
		require.Eventually(t, func() bool {
			pace.At = meter.Begun()
			return len(pace.At) >= n
		}, 2*time.Minute, 20*time.Millisecond, "%d attempts", n)
		return pace
	}
	pace := attempts(count * 2 / 3)
	used := pace.Used(pace.Steady())
	t.Logf("%.1f %% of the rate used", 100*used)
	require.Greater(t, used, 0.9, "test/bench asks for 97 %, of a machine that nobody else uses")
	workers[0].Kill()
	launch()
	pace = attempts(count)
	require.LessOrEqual(t, pace.Excess(), 0.0, "attempts more than allowed in some window")
	for _, window := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second} {
		require.LessOrEqual(t, pace.Busiest(window), 1.0)
	}
}
