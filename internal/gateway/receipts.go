package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/video"
)

// Receipt is the proof of an erasure.
type Receipt struct {
	JWS  *string `json:"jws" doc:"The same but for reappeared, signed: a compact JWS by Ed25519 (RFC 7515, RFC 8037), whose header names a key of /v1/receipts/key; null on receipts older than signatures"`
	COSE *string `json:"cose" doc:"A COSE receipt of its inclusion in the log; null until the log's next head"`
	video.Receipt
}

type receiptAnswer struct {
	Vary string `header:"Vary"`
	Body Receipt
}

func (g *Gateway) registerReceipts() {
	op := g.operation(http.MethodGet, "/v1/receipts/{id}", "get-receipt", "What was erased of a video, where, and what was found afterwards; public. A page for browsers", http.StatusOK)
	op.Middlewares = huma.Middlewares{g.receiptPage}
	huma.Register(g.api, op, func(ctx context.Context, in *ByID) (*receiptAnswer, error) {
		r, err := g.receipt(ctx, in.ID)
		if err != nil {
			return nil, g.errors.Problem(ctx, err)
		}
		answer := &receiptAnswer{Vary: "Accept", Body: Receipt{Receipt: r}}
		if r.JWS != "" {
			answer.Body.JWS = &r.JWS
		}
		return answer, nil
	})
	content := g.api.OpenAPI().Paths[op.Path].Get.Responses["200"].Content
	content["text/html; charset=utf-8"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	// "key" is not the id of a video.
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/receipts/key", "get-receipt-keys", "The public keys of signed receipts, those included that sign no more: a JWK set (RFC 7517)", http.StatusOK), g.receiptKeys)
}

type keysAnswer struct{ Body receipts.JWKSet }

func (g *Gateway) receipt(ctx context.Context, id string) (video.Receipt, error) {
	parsed, err := video.ParseID(id)
	if err != nil {
		return video.Receipt{}, err
	}
	r, closed, err := g.catalog.Receipt(ctx, parsed.Hash())
	if r.ClosedAt.IsZero() { // closed by a release that had it in the row alone
		r.ClosedAt = closed.UTC()
	}
	return r.Completed(), err
}

// receiptPage answers browsers by a page.
func (g *Gateway) receiptPage(ctx huma.Context, next func(huma.Context)) {
	if !strings.Contains(ctx.Header("Accept"), "text/html") {
		next(ctx)
		return
	}
	request, w := humago.Unwrap(ctx)
	g.errors.Handle(func(w http.ResponseWriter, request *http.Request) error {
		r, err := g.receipt(request.Context(), request.PathValue("id"))
		if err != nil {
			return err
		}
		w.Header().Add("Vary", "Accept")
		return g.pages.Receipt(w, request, r)
	})(w, request)
}

func (g *Gateway) receiptKeys(ctx context.Context, _ *struct{}) (*keysAnswer, error) {
	kept, err := g.vault.PublicKeys(ctx)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	keys := make([]receipts.Key, len(kept))
	for i, key := range kept {
		keys[i] = receipts.Key{ID: key.ID, Public: key.Public}
	}
	return &keysAnswer{receipts.NewJWKSet(keys)}, nil
}
