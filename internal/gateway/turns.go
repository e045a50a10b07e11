package gateway

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/turns"
	"github.com/reelflow/reelflow/video"
)

const (
	readTurnLasts    = time.Second     // unless what it waits for is another machine
	readTurnPatience = 5 * time.Second // how long a request waits for one
)

// readTurns are what requests, reads but for one kind, wait for that cost the gateway much and their sender nothing. The
// processor and the connections of the catalog are for players and uploads as well, whose
// requests don't wait here.
type readTurns struct {
	reads     *turns.Turns // pages, reads of the API, beginnings of streams
	downloads *turns.Turns // their beginnings, for which the store may let us wait
	ranges    *turns.Turns // several ranges at once, of whatever
	captions  *turns.Turns // captions that are sent: a file takes many times its size while it is read
	others    *turns.Others
}

func newReadTurns() readTurns {
	most, others := max(4, runtime.GOMAXPROCS(0)), new(turns.Others)
	return readTurns{
		reads:     turns.New(most, most, readTurnLasts, others),
		downloads: turns.New(2, 1, readTurnLasts, others),
		ranges:    turns.New(2, 1, readTurnLasts, others),
		captions:  turns.New(4, 2, 0, others),
		others:    others,
	}
}

// takesTurn reports whether all requests for a route take turns. What players ask for, and
// machines that watch the gateway, does not; nor does what changes something, which has
// its rates.
func takesTurn(pattern string) bool {
	method, path, _ := strings.Cut(pattern, " ")
	if method != http.MethodGet {
		return false
	}
	for _, prefix := range []string{"/assets/", "/media/", "/play/", "/signin", "/healthz", "/readyz", "/metrics"} {
		if strings.HasPrefix(path, prefix) {
			return isDownload(pattern)
		}
	}
	return true
}

func isDownload(pattern string) bool { return strings.HasSuffix(pattern, "/source") }

// inTurn serves a route by next, in turn where it costs much. The turn of a read is over
// when its answer begins, so that who reads slowly keeps nobody waiting. Several ranges are
// answered by the whole, and no player asks for them: there it goes on until the end.
func (g *Gateway) inTurn(pattern string, next http.Handler) http.Handler {
	reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all := g.readTurns.reads
		if isDownload(pattern) {
			all = g.readTurns.downloads
		}
		if done := g.awaitTurn(w, r, all); done != nil {
			defer done()
			next.ServeHTTP(&turnedAnswer{w, done}, r)
		}
	})
	serve := http.Handler(reads)
	if !takesTurn(pattern) {
		serve = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer g.readTurns.others.Begin()()
			next.ServeHTTP(w, r)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Range"), ",") {
			done := g.awaitTurn(w, r, g.readTurns.ranges)
			if done == nil {
				return
			}
			defer done()
		}
		serve.ServeHTTP(w, r)
	})
}

var errManyWait = video.Errorf(video.Unavailable, "Very many requests are waiting at the moment. Please try again in a few seconds.")

// awaitTurn returns nil after it has refused a request whose turn doesn't come soon.
func (g *Gateway) awaitTurn(w http.ResponseWriter, r *http.Request, all *turns.Turns) (done func()) {
	ctx, cancel := context.WithTimeout(r.Context(), readTurnPatience)
	defer cancel()
	done, err := all.Take(ctx, origin.From(ctx).Address)
	if err != nil {
		g.errors.Refuse(w, r, errManyWait)
		return nil
	}
	return done
}

// turnedAnswer gives its turn on as soon as it begins.
type turnedAnswer struct {
	http.ResponseWriter
	done func()
}

// WriteHeader implements http.ResponseWriter.
func (a *turnedAnswer) WriteHeader(status int) {
	a.done()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *turnedAnswer) Write(p []byte) (int, error) {
	a.done()
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *turnedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
