package gateway

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/gateway/problem"
)

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
		status = problem.StatusOf(problem.CodeOf(status))
	}
	c.anyContext.SetStatus(status)
}

// translate is a huma.Transformer for the bodies of refusals.
func translate(_ huma.Context, _ string, v any) (any, error) {
	refusal, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem.OfStatus(refusal.Status, detailOf(refusal))
	if refusal.Status == http.StatusRequestTimeout {
		p.Reason = "slow"
	}
	for _, e := range refusal.Errors {
		p.Errors = append(p.Errors, problem.Field{Location: e.Location, Message: e.Message})
	}
	return p, nil
}

// detailOf says in one sentence what huma found wrong.
func detailOf(refusal *huma.ErrorModel) string {
	switch refusal.Status {
	case http.StatusRequestEntityTooLarge:
		return "The request is too large."
	case http.StatusRequestTimeout:
		return "The request came too slowly. Please send it again."
	}
	said := []string{}
	for _, e := range refusal.Errors {
		text := e.Message
		if e.Location != "" {
			text = e.Location + ": " + e.Message
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		said = []string{refusal.Detail}
	}
	return "The request can't be understood: " + strings.TrimSuffix(strings.Join(said, "; "), ".") + "."
}
