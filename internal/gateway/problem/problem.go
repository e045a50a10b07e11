// Package problem is the one way out for errors: it decides the status of each code,
// what a person is told of it, and whether that is a page or a document (RFC 9457).
// Every room of the gateway answers what it refuses through it.
package problem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// statuses is the one place where codes become HTTP statuses.
var statuses = map[video.Code]int{
	video.Invalid:          http.StatusBadRequest,
	video.Unauthenticated:  http.StatusUnauthorized,
	video.Forbidden:        http.StatusForbidden,
	video.NotFound:         http.StatusNotFound,
	video.Conflict:         http.StatusConflict,
	video.Gone:             http.StatusGone,
	video.TooLarge:         http.StatusRequestEntityTooLarge,
	video.UnsupportedMedia: http.StatusUnsupportedMediaType,
	video.RateLimited:      http.StatusTooManyRequests,
	video.Unavailable:      http.StatusServiceUnavailable,
	video.Internal:         http.StatusInternalServerError,
}

// MediaType is that of every problem.
const MediaType = "application/problem+json"

// Problem is an error as RFC 9457 has it, with the code of the wire contract.
type Problem struct {
	Type   string     `json:"type" doc:"Always about:blank: the code says more."`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Code   video.Code `json:"code" enum:"invalid,unauthenticated,forbidden,not_found,conflict,gone,too_large,unsupported_media,rate_limited,unavailable,internal"`
	Detail string     `json:"detail" doc:"What happened, and what can be done about it."`
	Reason string     `json:"reason,omitempty" doc:"Tells apart what one code covers; the page of the API lists them"`
	Errors []Field    `json:"errors,omitempty" doc:"What is wrong with which field"`

	retryAfter int // seconds; 0 for what suits the code
}

// Field is one thing that is wrong with a request.
type Field struct {
	Location string `json:"location" doc:"Where: body.title, query.cursor"`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus tells huma the status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType tells huma the content type of the answer.
func (p *Problem) ContentType(string) string { return MediaType }

// GetHeaders tells huma what else belongs to the answer.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	switch p.Code {
	case video.Unauthenticated:
		h.Set("WWW-Authenticate", "Bearer")
	case video.Unavailable, video.RateLimited:
		h.Set("Retry-After", strconv.Itoa(cmp.Or(p.retryAfter, 2)))
	}
	return h
}

// New makes a problem of a code. What isn't a code becomes Internal.
func New(code video.Code, detail string) *Problem {
	status, known := statuses[code]
	if !known {
		code, status = video.Internal, http.StatusInternalServerError
	}
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Limited is a RateLimited that says when to come again, at least a second from now.
func Limited(detail string, wait time.Duration) *Problem {
	p := New(video.RateLimited, detail)
	p.retryAfter = int(math.Ceil(max(wait.Seconds(), 1)))
	return p
}

const ourFault = "Something went wrong on our side. Please try again."

// Of makes the answer to an error. Only what a video.Error says for users is shown.
func Of(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*video.Error](err)
	if !ok {
		return New(video.Internal, ourFault)
	}
	p := New(e.Code, e.Detail)
	p.Reason = e.Reason
	return p
}

// OfStatus makes a problem of what a library refused by itself.
func OfStatus(status int, detail string) *Problem {
	if status >= http.StatusInternalServerError {
		detail = ourFault
	}
	return New(CodeOf(status), detail)
}

// StatusOf returns the HTTP status of a code.
func StatusOf(code video.Code) int { return New(code, "").Status }

// Answerer answers errors. Page shows one to a person; the answer to a program is
// the problem itself.
type Answerer struct {
	Log  *slog.Logger
	Page func(w http.ResponseWriter, r *http.Request, p *Problem)
}

// Problem is Of, and writes our own failures with their causes to the log.
func (a *Answerer) Problem(ctx context.Context, err error) *Problem {
	p := Of(err)
	if _, said := errors.AsType[*Problem](err); !said && !p.Code.Permanent() && ctx.Err() == nil { // else nobody waits for the answer, and that is the cause
		a.Log.ErrorContext(ctx, "request failed", "code", p.Code, "error", err)
	}
	return p
}

// Refuse answers with err: a page for people who look for one, a problem for programs.
func (a *Answerer) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := a.Problem(r.Context(), err)
	if a.Page == nil || strings.HasPrefix(r.URL.Path, "/v1/") || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		a.Write(w, p)
		return
	}
	p.setHeaders(w.Header())
	a.Page(w, r, p)
}

// Handle turns a handler's error into its answer.
func (a *Answerer) Handle(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			a.Refuse(w, r, err)
		}
	}
}

// Write answers with a problem, as it is. Headers of the answer that was meant first go.
func (a *Answerer) Write(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	p.setHeaders(h)
	h.Set("Content-Type", MediaType)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		a.Log.Debug("answer not sent", "error", err)
	}
}

func (p *Problem) setHeaders(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Disposition", "Etag"} {
		h.Del(name)
	}
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
}

// NothingHere answers for addresses that lead nowhere.
func NothingHere() error { return video.Errorf(video.NotFound, "There is nothing at this address.") }

// CodeOf is the code of a status, for what libraries refuse by themselves. 408 is a body
// that came too slowly.
func CodeOf(status int) video.Code {
	if status == http.StatusRequestTimeout {
		return video.Unavailable
	}
	for code, s := range statuses {
		if s == status {
			return code
		}
	}
	if status < http.StatusInternalServerError {
		return video.Invalid
	}
	return video.Internal
}
