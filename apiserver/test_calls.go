package apiserver

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/mailtura/mailtura/internal/fault"
)

// Test calls of webhooks that a tenant may have made, so that they are no means to pound
// somebody's server: so many at once, and one more after each step. Each process counts for itself.
const (
	testCallBurst = 10
	testCallEvery = 6 * time.Second
)

// testCalls counts test calls by tenant. After a minute without one a tenant is as any other.
type testCalls struct {
	tenants *otter.Cache[string, *rate.Limiter]
}

func newTestCalls() testCalls {
	return testCalls{otter.Must(&otter.Options[string, *rate.Limiter]{
		MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryAccessing[string, *rate.Limiter](testCallBurst * testCallEvery),
	})}
}

// allow counts a call; fault too_many_test_calls.
func (c testCalls) allow(tenantID string) error {
	bucket, _ := c.tenants.SetIfAbsent(tenantID, rate.NewLimiter(rate.Every(testCallEvery), testCallBurst))
	turn := bucket.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return nil
	}
	turn.Cancel()
	full := fault.New(fault.Exhausted, "too_many_test_calls",
		"The tenant has had %d test calls made within a minute. Try again later.", testCallBurst)
	full.RetryAfter = wait
	return full
}
