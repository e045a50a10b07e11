package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/reelflow/reelflow/internal/openapitest"
)

// document is /openapi.json, by which every answer that a test of this package gets is
// judged. It is the same for every gateway.
var document struct {
	sync.Once
	*openapitest.Document
}

func (s *site) describes() {
	document.Do(func() {
		text, err := json.Marshal(s.api.OpenAPI())
		if err != nil {
			s.t.Fatal(err)
		}
		if document.Document, err = openapitest.Parse(text); err != nil {
			s.t.Fatal(err)
		}
	})
}

// conforms judges an answer.
func conforms(t *testing.T, r *http.Request, got answer) {
	t.Helper()
	if document.Document == nil {
		return
	}
	err := document.Check(openapitest.Answer{
		Method: r.Method, Path: r.URL.Path, Status: got.status, ContentType: got.header.Get("Content-Type"), Body: got.body,
	})
	if err != nil {
		t.Error(err)
	}
}

// A judge who lets everything pass would be none.
func TestConformanceNotices(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := s.made("owner", `{"hashtags":["sea"],"source":{"size":5}}`)
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]any{
		"paused": "yes", "stage": "asleep", "created_at": "yesterday", "extra": 1, "hashtags": nil, "links": nil, "upload": map[string]any{"offset": 1},
		"actions": []any{"dance"}, "visibility": "secret", "revision": 1.5, "ending": "bored",
	} {
		var value map[string]any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		if err := document.Fits("Video", value); err != nil {
			t.Fatal(err)
		}
		value[name] = spoil
		if document.Fits("Video", value) == nil {
			t.Errorf("%s may be %v", name, spoil)
		}
		if delete(value, name); name != "extra" && document.Fits("Video", value) == nil {
			t.Errorf("%s may be missing", name)
		}
	}
}

// What the document says of who may ask is what is so.
func TestOpenAPISecurity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	optional := map[string]bool{}
	for path, item := range s.api.OpenAPI().Paths {
		for method, op := range map[string]any{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "HEAD": item.Head, "DELETE": item.Delete} {
			text, err := json.Marshal(op)
			var said struct{ Security []map[string][]string }
			if err != nil || json.Unmarshal(text, &said) != nil {
				t.Fatal(err)
			}
			if string(text) != "null" {
				optional[method+" "+path] = slices.ContainsFunc(said.Security, func(one map[string][]string) bool { return len(one) == 0 })
			}
		}
	}
	at := s.situation("public", true, true)
	for route, anybody := range optional {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", at.id, "{user}", "owner", "{language}", "en", "/v1/uploads/{token}", at.upload).Replace(path)
		body := map[bool]string{true: "{}"}[route == "POST /v1/videos"]
		got := s.request("", method, path, body, "Tus-Resumable", "1.0.0", "Upload-Length", "5")
		if (got.status == http.StatusUnauthorized) == anybody {
			t.Errorf("%s without a sign-in: %d, and by the document for everybody: %v", route, got.status, anybody)
		}
	}
}
