package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

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

const problemType = "application/problem+json"

// Problem is an error as RFC 9457 has it, with the code of the wire contract.
type Problem struct {
	Type   string     `json:"type" doc:"Always about:blank: the code says more."`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Code   video.Code `json:"code" enum:"invalid,unauthenticated,forbidden,not_found,conflict,gone,too_large,unsupported_media,rate_limited,unavailable,internal"`
	Detail string     `json:"detail" doc:"What happened, and what can be done about it."`
	Reason string     `json:"reason,omitempty" doc:"Tells apart what one code covers: workflow_paused (by an operator, in Temporal), workflow_failing, no_worker"`

	retryAfter int // seconds; 0 for what suits the code
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus tells huma the status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType tells huma the content type of the answer.
func (p *Problem) ContentType(string) string { return problemType }

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

func newProblem(code video.Code, detail string) *Problem {
	status, known := statuses[code]
	if !known {
		code, status = video.Internal, http.StatusInternalServerError
	}
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problem makes the answer to an error. Only the detail of a video.Error is
// shown; everything else, and the causes of our own failures, goes to the log.
func (g *Gateway) problem(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	code, detail := video.Internal, "Something went wrong on our side. Please try again."
	if e, ok := errors.AsType[*video.Error](err); ok {
		code, detail = e.Code, e.Detail
	}
	if !code.Permanent() && ctx.Err() == nil { // else nobody waits for the answer, and that is the cause
		g.log.Error("request failed", "code", code, "error", err)
	}
	return newProblem(code, detail)
}

// refuse answers err for everything that is not an operation of huma's.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, g.problem(r.Context(), err), g.log)
}

func writeProblem(w http.ResponseWriter, p *Problem, log *slog.Logger) {
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	h.Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		log.Debug("answer not sent", "error", err)
	}
}

// codeOf is the opposite of statuses, for what huma and net/http refuse by themselves.
func codeOf(status int) video.Code {
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

// translated makes huma's own refusals ours: 400 instead of 422, our shape, the
// fields in the detail. It wraps the adapter, so that nothing global is changed.
type translated struct{ huma.Adapter }

// Handle implements huma.Adapter.
func (t translated) Handle(op *huma.Operation, handler func(huma.Context)) {
	t.Adapter.Handle(op, func(ctx huma.Context) { handler(statusContext{ctx}) })
}

type statusContext struct{ anyContext }

// anyContext is a name under which a context can be embedded beside its method Context.
type anyContext = huma.Context

// Unwrap returns the context of the adapter.
func (c statusContext) Unwrap() huma.Context { return c.anyContext }

// SetStatus writes the status of the contract.
func (c statusContext) SetStatus(status int) {
	if status >= http.StatusBadRequest {
		status = statuses[codeOf(status)]
	}
	c.anyContext.SetStatus(status)
}

// translate is a huma.Transformer for the bodies of refusals.
func translate(_ huma.Context, _ string, v any) (any, error) {
	refusal, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	said := []string{}
	for _, e := range refusal.Errors {
		text := e.Message
		if e.Location != "" {
			text = e.Location + ": " + e.Message
		}
		said = append(said, text)
	}
	detail := "The request can't be understood: " + refusal.Detail
	if len(said) > 0 {
		detail = "The request can't be understood: " + strings.Join(said, "; ")
	}
	if refusal.Status == http.StatusRequestEntityTooLarge {
		detail = "The request is too large."
	}
	if refusal.Status >= http.StatusInternalServerError {
		detail = "Something went wrong on our side. Please try again."
	}
	return newProblem(codeOf(refusal.Status), strings.TrimSuffix(detail, ".")+"."), nil
}
