package gateway

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
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

// describeUploads adds the tus server to the document: it is not an operation of huma's.
func (g *Gateway) describeUploads() {
	text := func(status, description string) map[string]*huma.Response {
		return map[string]*huma.Response{status: {Description: description}}
	}
	token := &huma.Param{Name: "token", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	for _, op := range []*huma.Operation{
		{Method: http.MethodPost, Path: uploads.Path, OperationID: "create-upload", Summary: "tus 1.0: begin an upload",
			Description: "Upload-Length and Upload-Metadata (filename, filetype, title, caption, or video_id) make the video; Location is where to send it",
			Responses:   text("201", "Made; see Location and Reelflow-Video")},
		{Method: http.MethodHead, Path: uploads.Path + "{token}", OperationID: "get-upload", Summary: "tus 1.0: how far it is",
			Parameters: []*huma.Param{token}, Responses: text("200", "See Upload-Offset")},
		{Method: http.MethodPatch, Path: uploads.Path + "{token}", OperationID: "send-upload", Summary: "tus 1.0: send bytes from Upload-Offset on",
			Parameters: []*huma.Param{token}, Responses: text("204", "Stored; 423 while paused, 410 once canceled")},
		{Method: http.MethodDelete, Path: uploads.Path + "{token}", OperationID: "cancel-upload", Summary: "tus 1.0: cancel",
			Parameters: []*huma.Param{token}, Responses: text("204", "Canceled, also when it was before")},
	} {
		g.api.OpenAPI().AddOperation(op)
	}
}
