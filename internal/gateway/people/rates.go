package people

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/internal/gateway/problem"
)

// Rates are token buckets, one for each who asks: full at first, refilled within a
// minute. They are counted by each gateway for itself.
type Rates struct {
	perMinute int64

	mu    sync.Mutex
	known map[string]*rate.Limiter
	swept time.Time
}

// NewRates makes rates of so many a minute; 0 is without a limit.
func NewRates(perMinute int64) *Rates {
	return &Rates{perMinute: perMinute, known: map[string]*rate.Limiter{}}
}

// Unlimited reports whether Take never refuses.
func (b *Rates) Unlimited() bool { return b.perMinute == 0 }

// Take lets somebody do one thing more, or says that it is too much and when to
// come again. What is refused counts for nothing.
func (b *Rates) Take(who, things string, now time.Time) error {
	if b.Unlimited() {
		return nil
	}
	wait := b.wait(who, now)
	if wait == 0 {
		return nil
	}
	seconds := math.Ceil(wait.Seconds())
	return problem.Limited(fmt.Sprintf("Too fast: at most %d %s a minute are allowed. Try again in %.0f s.", b.perMinute, things, seconds), wait)
}

func (b *Rates) wait(who string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	one := b.known[who]
	if one == nil {
		one = rate.NewLimiter(rate.Limit(float64(b.perMinute)/60), int(min(b.perMinute, math.MaxInt32)))
		b.known[who] = one
	}
	reserved := one.ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	if wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// sweep forgets full buckets: a new one is no different.
func (b *Rates) sweep(now time.Time) {
	if now.Sub(b.swept) < time.Minute {
		return
	}
	b.swept = now
	for who, one := range b.known {
		if one.TokensAt(now) >= float64(one.Burst()) {
			delete(b.known, who)
		}
	}
}
