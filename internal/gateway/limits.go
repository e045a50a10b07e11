package gateway

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

// Limits are what one person may ask for. Zero is without a limit.
//
// Rates are counted by each gateway for itself, in memory: with three gateways
// somebody gets up to three times as far. What they have at once is counted in the
// catalog, exactly.
type Limits struct {
	Creates  int64 // new videos a minute
	Commands int64 // a minute
	Reads    int64 // a minute, of those who are not signed in, by their address

	Uploads int64 // under way at once
	Bytes   int64 // of all their videos
}

func (g *Gateway) allowance() catalog.Allowance {
	l := g.settings.Limits
	return catalog.Allowance{Uploads: l.Uploads, Bytes: l.Bytes, Unsized: g.settings.MaxBytes}
}

// The bounds of the time after which somebody without room is asked to come
// again: it may be there sooner than it frees itself.
const (
	soonestRoom = 10 * time.Second
	latestRoom  = 10 * time.Minute
)

// noRoom tells whoever has too many uploads under way when to come again; other errors
// pass, and that of a full quota among them: waiting doesn't empty it.
func noRoom(err error) error {
	excess, ok := errors.AsType[*catalog.Excess](err)
	refusal, refused := errors.AsType[*video.Error](err)
	if !ok || !refused || refusal.Code != video.RateLimited {
		return err
	}
	wait := latestRoom
	if !excess.Until.IsZero() {
		wait = min(max(time.Until(excess.Until), soonestRoom), latestRoom)
	}
	return problem.Limited(refusal.Detail, wait)
}

// rateLimits are the rates of one gateway.
type rateLimits struct{ creates, commands, reads *buckets }

func newRateLimits(l Limits) rateLimits {
	return rateLimits{newBuckets(l.Creates), newBuckets(l.Commands), newBuckets(l.Reads)}
}

// buckets are token buckets, one for each who asks: full at first, refilled within a minute.
type buckets struct {
	perMinute int64

	mu    sync.Mutex
	known map[string]*rate.Limiter
	swept time.Time
}

func newBuckets(perMinute int64) *buckets {
	return &buckets{perMinute: perMinute, known: map[string]*rate.Limiter{}}
}

// take lets somebody do one thing more, or says that it is too much and when to
// come again. What is refused counts for nothing.
func (b *buckets) take(who, things string, now time.Time) error {
	if b.perMinute == 0 {
		return nil
	}
	wait := b.wait(who, now)
	if wait == 0 {
		return nil
	}
	seconds := math.Ceil(wait.Seconds())
	return problem.Limited(fmt.Sprintf("Too fast: at most %d %s a minute are allowed. Try again in %.0f s.", b.perMinute, things, seconds), wait)
}

func (b *buckets) wait(who string, now time.Time) time.Duration {
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
func (b *buckets) sweep(now time.Time) {
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

// mayCreate is asked for each request to make a video, repeated ones included.
func (g *Gateway) mayCreate(who person) error {
	return g.limits.creates.take(who.name, "new videos", time.Now())
}

// unhurried keeps readers who are not signed in to their rate. Players and
// uploads are left alone: a video takes hundreds of requests, and an upload that
// is refused would be begun again.
func (g *Gateway) unhurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.limits.reads.perMinute > 0 && isRead(r) {
			if who, err := caller(r.Context()); err != nil || who.anonymous() {
				if err := g.limits.reads.take(addressOf(r), "reads without a sign-in", time.Now()); err != nil {
					g.errors.Refuse(w, r, err)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

func isRead(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || strings.HasPrefix(r.URL.Path+"/", uploads.Path) {
		return false
	}
	for _, prefix := range []string{"/v1/", "/watch/", "/embed/", "/@"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return true
		}
	}
	return false
}

// addressOf is where a request came from. A household has a whole /64 of IPv6.
func addressOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address := at.Addr().Unmap()
	if address.Is4() {
		return address.String()
	}
	network, err := address.WithZone("").Prefix(64)
	if err != nil {
		return address.String()
	}
	return network.String()
}
