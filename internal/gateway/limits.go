package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
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

// withReadLimit keeps readers who are not signed in to their rate. Players and
// uploads are left alone: a video takes hundreds of requests, and an upload that
// is refused would be begun again.
func (g *Gateway) withReadLimit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.reads.Unlimited() && isRead(r) {
			if who, err := people.Caller(r.Context()); err != nil || who.Anonymous() {
				if err := g.reads.Take(origin.From(r.Context()).Address, "reads without a sign-in", time.Now()); err != nil {
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
