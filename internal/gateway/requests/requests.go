// Package requests gives every request an id and a line in the log, by which one
// request can be followed through gateway and workers. Neither ever holds an address,
// a title, a token or a name: addresses are logged by the pattern of their route.
package requests

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Header is the header of a request's id, in both directions.
const Header = "X-Request-Id"

type contextKey struct{}

// Request is what is known of a request under way.
type Request struct {
	ID    string
	Trace string // the trace id of its traceparent, hex; empty without one

	route  atomic.Pointer[string]
	video  atomic.Pointer[video.ID]
	caller atomic.Pointer[string]
}

// Of returns the request that ctx belongs to; nil where there is none, as in the
// gateway's own loops.
func Of(ctx context.Context) *Request {
	r, _ := ctx.Value(contextKey{}).(*Request)
	return r
}

// ID returns the id of the request that ctx belongs to, or nothing.
func ID(ctx context.Context) string {
	if r := Of(ctx); r != nil {
		return r.ID
	}
	return ""
}

// Matched notes the pattern of the route that serves the request.
func Matched(ctx context.Context, pattern string) {
	if r := Of(ctx); r != nil {
		r.route.Store(&pattern)
	}
}

// About notes which video the request turned out to be about.
func About(ctx context.Context, id video.ID) {
	if r := Of(ctx); r != nil {
		r.video.Store(&id)
	}
}

// By notes who has sent the request, as an opaque id.
func By(ctx context.Context, caller string) {
	if r := Of(ctx); r != nil {
		r.caller.Store(&caller)
	}
}

// Ids that clients choose stand in our log and our answers: hence their form. Trace
// ids are W3C Trace Context's (https://www.w3.org/TR/trace-context/#traceparent-header).
var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	parentForm = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)
)

func requestOf(r *http.Request) *Request {
	request := &Request{ID: r.Header.Get(Header)}
	if !idForm.MatchString(request.ID) {
		request.ID = strings.ToLower(rand.Text())
	}
	if parent := parentForm.FindStringSubmatch(r.Header.Get("Traceparent")); parent != nil && strings.Trim(parent[1], "0") != "" {
		request.Trace = parent[1]
	}
	return request
}

// Counter is told of each request that was answered. Route is the pattern of its route, or empty.
type Counter interface {
	Request(route, method string, status int, bytes int64, took time.Duration)
}

// Logged gives each request its id, which stands in its answer, and writes one line
// when it has been answered. It is counted, too, unless count is nil.
func Logged(log *slog.Logger, count Counter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, request := time.Now(), requestOf(r)
		w.Header().Set(Header, request.ID)
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, request))
		answer := &Answer{ResponseWriter: w}
		defer func() {
			took := time.Since(begun)
			request.log(log, r, answer.Status(), took)
			if count != nil {
				count.Request(request.Route(), r.Method, answer.Status(), answer.sent, took)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// Route is the pattern that the request has matched, empty for none.
func (q *Request) Route() string {
	if pattern := q.route.Load(); pattern != nil {
		return *pattern
	}
	return ""
}

// asked are the addresses that machines ask every few seconds.
var asked = []string{"/healthz", "/readyz", "/metrics"}

// log writes at info, but what is asked every few seconds by machines, and went well, at debug.
func (q *Request) log(log *slog.Logger, r *http.Request, status int, took time.Duration) {
	level, route := slog.LevelInfo, q.Route()
	if status < 400 && slices.ContainsFunc(asked, func(path string) bool { return strings.HasSuffix(route, path) }) {
		level = slog.LevelDebug
	}
	fields := []slog.Attr{
		slog.String("request", q.ID), slog.String("method", r.Method), slog.String("route", route),
		slog.Int("status", status), slog.Duration("took", took),
	}
	if id := q.video.Load(); id != nil {
		fields = append(fields, slog.String("video", string(*id)))
	}
	if caller := q.caller.Load(); caller != nil {
		fields = append(fields, slog.String("caller", *caller))
	}
	if q.Trace != "" {
		fields = append(fields, slog.String("trace", q.Trace))
	}
	log.LogAttrs(context.WithoutCancel(r.Context()), level, "answered", fields...)
}

// Answer remembers whether an answer has begun, and with which status.
type Answer struct {
	http.ResponseWriter
	status int
	sent   int64 // bytes of the body
}

// Status is that of the answer; 0 before it has begun.
func (a *Answer) Status() int { return a.status }

// WriteHeader implements http.ResponseWriter.
func (a *Answer) WriteHeader(status int) {
	if a.status < 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *Answer) Write(p []byte) (int, error) {
	if a.status < 200 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}

// ReadFrom keeps the server's fast way of copying.
func (a *Answer) ReadFrom(r io.Reader) (int64, error) {
	if a.status < 200 {
		a.status = http.StatusOK
	}
	n, err := io.Copy(a.ResponseWriter, r)
	a.sent += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Log adds the request's id to every line that is written on its behalf.
type Log struct{ slog.Handler }

// Handle implements slog.Handler.
func (l Log) Handle(ctx context.Context, record slog.Record) error {
	if r := Of(ctx); r != nil && record.Message != "answered" {
		record = record.Clone()
		record.AddAttrs(slog.String("request", r.ID))
	}
	return l.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (l Log) WithAttrs(attrs []slog.Attr) slog.Handler { return Log{l.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (l Log) WithGroup(name string) slog.Handler { return Log{l.Handler.WithGroup(name)} }
