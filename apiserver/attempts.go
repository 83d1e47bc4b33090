package apiserver

import (
	"cmp"
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
)

const (
	attemptsAfter = 10 * time.Minute // from the first one on; then a source is as any other again
	maxSources    = 10_000
	goodFor       = time.Hour // since it was last used
)

// Attempts bounds wrong keys from one source. What is zero is as documented.
type Attempts struct {
	Burst int           // in a row; 100
	Every time.Duration // one more after each of these; 1 s
}

// attempts slows down who tries keys. Only wrong keys count, each of them once, by source: an address of IPv4, or
// the 64 bits of IPv6 that one customer has. Beyond the burst a key is refused before it is
// looked up, unless it was right within the last hour: a bad client does not lock out the others
// behind its address. Each process counts for itself.
type attempts struct {
	Attempts
	sources *otter.Cache[netip.Prefix, *rate.Limiter]
	good    *otter.Cache[[sha256.Size]byte, struct{}]
	tried   *otter.Cache[trial, struct{}]
}

// trial is a wrong key from a source. Who comes again with the same key does not guess: it is
// a program that nobody has told of the new one.
type trial struct {
	source netip.Prefix
	key    [sha256.Size]byte
}

func newAttempts(bounds Attempts) attempts {
	return attempts{
		Attempts: Attempts{Burst: cmp.Or(bounds.Burst, 100), Every: cmp.Or(bounds.Every, time.Second)},
		sources: otter.Must(&otter.Options[netip.Prefix, *rate.Limiter]{
			MaximumSize: maxSources, ExpiryCalculator: otter.ExpiryWriting[netip.Prefix, *rate.Limiter](attemptsAfter),
		}),
		good: otter.Must(&otter.Options[[sha256.Size]byte, struct{}]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryAccessing[[sha256.Size]byte, struct{}](goodFor),
		}),
		tried: otter.Must(&otter.Options[trial, struct{}]{
			MaximumSize: maxSources, ExpiryCalculator: otter.ExpiryWriting[trial, struct{}](attemptsAfter),
		}),
	}
}

// sourceOf is what counts as one source.
func sourceOf(addr netip.Addr) netip.Prefix {
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked()
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// allow says whether a key may be looked up; fault too_many_attempts.
func (a *attempts) allow(addr netip.Addr, key apikey.Key) error {
	source, slowed := a.sources.GetIfPresent(sourceOf(addr))
	if !slowed {
		return nil
	}
	missing := 1 - source.Tokens()
	if missing <= 0 {
		return nil
	}
	if _, good := a.good.GetIfPresent(fingerprint(key)); good {
		return nil
	}
	f := fault.New(fault.Exhausted, "too_many_attempts", "Too many wrong keys came from this address. Try again later.")
	f.RetryAfter = min(time.Duration(missing*float64(a.Every)), attemptsAfter)
	return f
}

// right notes that a key was right.
func (a *attempts) right(key apikey.Key) { a.good.Set(fingerprint(key), struct{}{}) }

// wrong counts a key that was not. Many that come at the same time are counted too, into debt.
func (a *attempts) wrong(addr netip.Addr, key apikey.Key) {
	a.good.Invalidate(fingerprint(key))
	if _, first := a.tried.SetIfAbsent(trial{sourceOf(addr), fingerprint(key)}, struct{}{}); !first {
		return
	}
	source, _ := a.sources.SetIfAbsent(sourceOf(addr), rate.NewLimiter(rate.Every(a.Every), a.Burst))
	source.Reserve()
}

// fingerprint is a key as it is remembered: without its secret.
func fingerprint(key apikey.Key) [sha256.Size]byte { return sha256.Sum256([]byte(key.Text())) }
