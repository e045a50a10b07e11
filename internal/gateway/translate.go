package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// translated makes huma's own refusals ours: 400 instead of 422, our shape, the
// fields in the detail, and one for query parameters that an operation doesn't have. It
// wraps the adapter, so that nothing global is changed.
type translated struct {
	huma.Adapter
	errors *problem.Answerer
}

// Handle implements huma.Adapter.
func (t translated) Handle(op *huma.Operation, handler func(huma.Context)) {
	var known []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	slices.Sort(known)
	t.Adapter.Handle(op, func(ctx huma.Context) {
		address := ctx.URL()
		if p := checkQuery(address.RawQuery, known); p != nil {
			_, w := humago.Unwrap(ctx)
			t.errors.Write(w, p)
			return
		}
		handler(statusContext{ctx})
	})
}

// checkQuery refuses a query with a parameter that isn't known: a misspelt one would
// otherwise do nothing, unnoticed. It returns nil for any other.
func checkQuery(query string, known []string) *problem.Problem {
	said, err := url.ParseQuery(query)
	if err != nil {
		return problem.New(video.Invalid, "The query of this address can't be read.")
	}
	takes := "this address takes none"
	if len(known) > 0 {
		takes = "this address takes " + strings.Join(known, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if slices.Contains(known, name) {
			continue
		}
		name = shortened(name)
		p := problem.New(video.Invalid, fmt.Sprintf("The query parameter %q is not known; %s.", name, takes))
		p.Errors = []problem.Field{{Location: "query." + name, Message: "it is not known; " + takes}}
		return p
	}
	return nil
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

// AppendHeader implements huma.Context. Every answer of the API has a Cache-Control
// before huma writes it, and one value is all that it may have: a problem's own.
func (c statusContext) AppendHeader(name, value string) {
	if name == "Cache-Control" {
		c.SetHeader(name, value)
		return
	}
	c.anyContext.AppendHeader(name, value)
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
