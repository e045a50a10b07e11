package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/requests"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

// routes puts everything together. The caller of a request is known to
// all layers below, and a panic in any of them is caught.
func (g *Gateway) routes() (http.Handler, error) {
	compress, err := newCompressor()
	if err != nil {
		return nil, err
	}
	mux := &routeTable{ServeMux: http.NewServeMux(), compress: compress, inTurn: g.inTurn}
	g.registerAPI(mux)
	g.players.Register(mux)
	g.registerHealth(mux)
	g.pages.Register(g.api.OpenAPI(), mux)
	g.people.Register(mux)
	g.uploads.Register(mux)
	g.patterns = mux.patterns
	handler := g.withHeaders(g.withOwnHost(g.withReadLimit(g.withNotFound(mux.ServeMux))))
	return g.bounds.On(requests.Logged(g.log, g.settings.Meter, g.origins().WithOrigin(g.people.WithCaller(g.withRecovery(handler))))), nil
}

// routeTable is a mux that knows what it was told: so that every route can be
// asked whom it lets in.
type routeTable struct {
	*http.ServeMux
	patterns []string
	compress func(http.Handler) http.Handler
	inTurn   func(pattern string, next http.Handler) http.Handler
}

// Handle notes the pattern.
func (t *routeTable) Handle(pattern string, handler http.Handler) {
	t.patterns = append(t.patterns, pattern)
	if mayCompress(pattern) {
		handler = t.compress(handler)
	}
	t.ServeMux.Handle(pattern, t.inTurn(pattern, handler))
}

// HandleFunc notes the pattern.
func (t *routeTable) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	t.Handle(pattern, http.HandlerFunc(handler))
}

// withNotFound answers for addresses that no route has, and for methods that a route
// doesn't take: with a page for people, and a problem for programs.
func (g *Gateway) withNotFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			requests.Matched(r.Context(), pattern)
			mux.ServeHTTP(w, r)
			if id, err := video.ParseID(r.PathValue("id")); err == nil {
				requests.About(r.Context(), id)
			}
			return
		}
		var refused statusOnly
		handler.ServeHTTP(&refused, r)
		switch allow := refused.Header().Get("Allow"); {
		case refused.status >= 300 && refused.status < 400:
			handler.ServeHTTP(w, r) // to the clean form of the address
		case allow != "":
			w.Header().Set("Allow", allow)
			p := problem.New(video.Invalid, fmt.Sprintf("This address does not take %s; it takes %s.", r.Method, allow))
			p.Status, p.Title = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed)
			g.errors.Write(w, p)
		default:
			g.errors.Refuse(w, r, cmp.Or(g.unknownCommand(r), problem.NothingHere()))
		}
	})
}

// statusOnly is an answer that is not sent.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

// withHeaders sets the headers that every answer has, and lets programs on other sites use the
// API with a token: without credentials mode their requests carry no cookie.
func (g *Gateway) withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(r.URL.Path+"/", uploads.Path) {
			if !g.allowsOrigin(r) {
				r.Header.Del("Origin") // for which uploads would allow it
			}
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			h.Set("Cache-Control", "no-store")
		}
		for _, prefix := range []string{"/v1/", "/play/", "/media/", "/openapi."} {
			if strings.HasPrefix(r.URL.Path, prefix) && g.crossOrigin(w, r) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin answers the question that browsers ask first, and reports whether it did.
func (g *Gateway) crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	h := w.Header()
	if g.loopbackOnly() {
		h.Add("Vary", "Origin")
	}
	if !g.allowsOrigin(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, Retry-After, Content-Range, WWW-Authenticate")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Range, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// withRecovery turns a panic into a 500 that says nothing about our insides, or
// breaks off an answer that has begun.
func (g *Gateway) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &requests.Answer{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				g.log.ErrorContext(r.Context(), "panic while answering", "pattern", r.Pattern, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			}
			if answer.Status() >= 200 || errors.Is(r.Context().Err(), context.Canceled) {
				panic(http.ErrAbortHandler)
			}
			g.errors.Refuse(w, r, video.Errorf(video.Internal, "Something went wrong on our side. Please try again."))
		}()
		next.ServeHTTP(answer, r)
	})
}
