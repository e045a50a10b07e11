package gateway

import (
	"encoding/json"
	"maps"
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
	const each = uploads.Path + "{token}"
	whoHasTheURL := security{{}}
	for _, op := range []*huma.Operation{
		{Method: http.MethodPost, Path: uploads.Path, OperationID: "create-upload", Summary: "tus 1.0: begin an upload", Security: signedInOnly(),
			Description: "Upload-Length and Upload-Metadata (filename, filetype, title, caption, or video_id) make the video; Location is where to send it",
			Parameters:  headers("Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Idempotency-Key"),
			Responses:   tusAnswer("201", "Made; the video is named by Reelflow-Video", "Location", "Upload-Offset", "Upload-Expires", "Reelflow-Video")},
		{Method: http.MethodHead, Path: each, OperationID: "get-upload", Summary: "tus 1.0: how far it is", Security: whoHasTheURL,
			Parameters: headers(), Responses: tusAnswer("200", "Upload-Offset says how many bytes are stored", "Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Expires", "Reelflow-Video")},
		{Method: http.MethodPatch, Path: each, OperationID: "send-upload", Summary: "tus 1.0: send bytes from Upload-Offset on", Security: whoHasTheURL,
			Description: "423 while paused, 410 once canceled, 409 where Upload-Offset is not what is stored, 460 where the bytes don't have Upload-Checksum",
			Parameters:  headers("Upload-Offset", "Upload-Checksum", "Upload-Length"),
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
				"application/offset+octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			}},
			Responses: tusAnswer("204", "Stored", "Upload-Offset", "Upload-Expires", "Reelflow-Video")},
		{Method: http.MethodDelete, Path: each, OperationID: "cancel-upload", Summary: "tus 1.0: cancel", Security: whoHasTheURL,
			Parameters: headers(), Responses: tusAnswer("204", "Canceled, also when it was before")},
	} {
		if op.Path == each {
			op.Parameters = append(op.Parameters, &huma.Param{Name: "token", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
		maps.Copy(op.Responses, g.problemResponses())
		g.api.OpenAPI().AddOperation(op)
	}
}

// headers are parameters of tus, beside the version that every request names.
func headers(names ...string) []*huma.Param {
	params := []*huma.Param{{Name: "Tus-Resumable", In: "header", Required: true, Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"1.0.0"}}}}
	for _, name := range names {
		params = append(params, &huma.Param{Name: name, In: "header", Schema: &huma.Schema{Type: huma.TypeString}})
	}
	return params
}

// tusAnswer is one that says all it has to say by its headers.
func tusAnswer(status, description string, names ...string) map[string]*huma.Response {
	response := &huma.Response{Description: description, Headers: map[string]*huma.Param{}}
	for _, name := range append(names, "Tus-Resumable") {
		response.Headers[name] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return map[string]*huma.Response{status: response}
}
