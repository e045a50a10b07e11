package gateway

import (
	"encoding/json"
	"net/http"
	"sync"
)

// registerOpenAPI serves the description of the API for programs. Huma would, but
// makes each document at its first request without a lock.
func (g *Gateway) registerOpenAPI(mux *routeTable) {
	api := g.api.OpenAPI()
	for _, document := range []struct {
		path, contentType string
		render            func() ([]byte, error)
	}{
		{"/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(api) }},
		{"/openapi.yaml", "application/openapi+yaml", api.YAML},
		{"/openapi-3.0.json", "application/openapi+json", api.Downgrade},
		{"/openapi-3.0.yaml", "application/openapi+yaml", api.DowngradeYAML},
	} {
		rendered := sync.OnceValues(document.render)
		mux.HandleFunc("GET "+document.path, g.errors.Handle(func(w http.ResponseWriter, _ *http.Request) error {
			text, err := rendered()
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", document.contentType)
			_, _ = w.Write(text) // it fails where the client has gone
			return nil
		}))
	}
}
