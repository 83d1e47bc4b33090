package apiserver

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/mailtura/mailtura/internal/fault"
)

// outside counts what tenants have the server ask of others at once, such as calls of
// webhooks and questions to the DNS, so that they are no means to pound somebody's server: so
// many at once, and one more after each step. Each process counts for itself.
type outside struct {
	tenants *otter.Cache[string, *rate.Limiter]
	aMinute int
	full    func() *fault.Error
}

func newTestCalls() outside {
	return newOutside(10, func() *fault.Error {
		return fault.New(fault.Exhausted, "too_many_test_calls", "The tenant has had 10 test calls made within a minute. Try again later.")
	})
}

func newChecks() outside {
	return newOutside(60, func() *fault.Error {
		return fault.New(fault.Exhausted, "too_many_checks", "The tenant has had 60 checks of domains made within a minute. Try again later.")
	})
}

// newOutside allows each tenant so many within a minute. After one without any it is forgotten.
func newOutside(aMinute int, full func() *fault.Error) outside {
	return outside{otter.Must(&otter.Options[string, *rate.Limiter]{
		MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryAccessing[string, *rate.Limiter](time.Minute),
	}), aMinute, full}
}

// allow counts one, or says that there were too many.
func (o outside) allow(tenantID string) error {
	bucket, _ := o.tenants.SetIfAbsent(tenantID, rate.NewLimiter(rate.Every(time.Minute/time.Duration(o.aMinute)), o.aMinute))
	turn := bucket.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return nil
	}
	turn.Cancel()
	full := o.full()
	full.RetryAfter = wait
	return full
}
