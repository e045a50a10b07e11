package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/problem"
)

// document is /openapi.json, by which every answer that a test of this package gets is
// judged. It is the same for every gateway, and an answer may have no more than it says.
var document struct {
	sync.Once
	schemas    map[string]any
	operations []described
}

type described struct {
	method  string
	path    *regexp.Regexp
	literal bool
	answers map[string]any
}

func (s *site) describes() {
	document.Do(func() {
		text, err := json.Marshal(s.api.OpenAPI())
		var all struct {
			Paths      map[string]map[string]map[string]any
			Components struct{ Schemas map[string]any }
		}
		if err != nil || json.Unmarshal(text, &all) != nil {
			s.t.Fatal(err)
		}
		document.schemas = all.Components.Schemas
		for path, item := range all.Paths {
			pattern := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
			for method, op := range item {
				answers, _ := op["responses"].(map[string]any)
				document.operations = append(document.operations, described{strings.ToUpper(method), regexp.MustCompile("^" + pattern + "$"), !strings.Contains(path, "{"), answers})
			}
		}
	})
}

// conforms judges an answer.
func conforms(t *testing.T, r *http.Request, got answer) {
	t.Helper()
	contentType := got.header.Get("Content-Type")
	if r.Method == http.MethodHead || document.schemas == nil {
		return
	}
	if contentType == problem.MediaType {
		judge(t, r, "#/components/schemas/Problem", got.body)
		return
	}
	i := slices.IndexFunc(document.operations, func(d described) bool {
		return d.method == r.Method && d.path.MatchString(r.URL.Path) && (d.literal || !strings.HasPrefix(r.URL.Path, "/v1/me/"))
	})
	if i < 0 || got.status >= 400 {
		return // the document is about the API
	}
	described, ok := document.operations[i].answers[strconv.Itoa(got.status)].(map[string]any)
	if !ok {
		t.Errorf("%s %s: the document knows no answer %d", r.Method, r.URL.Path, got.status)
		return
	}
	content, _ := described["content"].(map[string]any)
	media, _ := content[contentType].(map[string]any)
	if (media == nil) != (contentType == "" || len(got.body) == 0) && contentType != "text/event-stream" {
		t.Errorf("%s %s: the document knows no answer %d of type %q", r.Method, r.URL.Path, got.status, contentType)
	}
	if contentType == "application/json" && media != nil {
		schema, _ := media["schema"].(map[string]any)
		ref, _ := schema["$ref"].(string)
		judge(t, r, ref, got.body)
	}
}

func judge(t *testing.T, r *http.Request, ref string, body []byte) {
	t.Helper()
	var value any
	err := json.Unmarshal(body, &value)
	if err == nil {
		err = fits(value, map[string]any{"$ref": ref}, "answer")
	}
	if err != nil {
		t.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, body)
	}
}

// fits says where a value is not as a schema has it (JSON Schema 2020-12, as far as the
// document uses it). Properties that it doesn't name are refused.
func fits(value any, schema map[string]any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		named, ok := document.schemas[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %s leads nowhere", at, ref)
		}
		return fits(value, named, at)
	}
	if choices, ok := schema["oneOf"].([]any); ok {
		return fitsOne(value, choices, at)
	}
	if !slices.Contains(typesOf(schema["type"]), typeOfJSON(value)) {
		return fmt.Errorf("%s is %v, not %v", at, value, schema["type"])
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Errorf("%s is %v, not one of %v", at, value, enum)
	}
	switch value := value.(type) {
	case string:
		if _, err := time.Parse(time.RFC3339, value); schema["format"] == "date-time" && err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range value {
			if err := fits(item, items, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return fitsObject(value, schema, at)
	}
	return nil
}

func fitsOne(value any, choices []any, at string) error {
	var why []error
	for _, choice := range choices {
		one, _ := choice.(map[string]any)
		err := fits(value, one, at)
		if err == nil {
			return nil
		}
		why = append(why, err)
	}
	return fmt.Errorf("%s fits none: %v", at, why)
}

func fitsObject(value, schema map[string]any, at string) error {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := value[name.(string)]; !there {
			return fmt.Errorf("%s has no %v", at, name)
		}
	}
	for name, one := range value {
		property, ok := properties[name].(map[string]any)
		if !ok {
			return fmt.Errorf("%s has a %s that the document doesn't name", at, name)
		}
		if err := fits(one, property, at+"."+name); err != nil {
			return err
		}
	}
	if schema["additionalProperties"] == false {
		return fmt.Errorf("%s can't gain fields", at)
	}
	return nil
}

func typesOf(said any) (types []string) {
	switch said := said.(type) {
	case string:
		types = []string{said}
	case []any:
		for _, one := range said {
			types = append(types, fmt.Sprint(one))
		}
	}
	if slices.Contains(types, "number") {
		types = append(types, "integer")
	}
	return types
}

func typeOfJSON(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
	}
	return "number"
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
		ref := map[string]any{"$ref": "#/components/schemas/Video"}
		if err := fits(value, ref, "answer"); err != nil {
			t.Fatal(err)
		}
		value[name] = spoil
		if fits(value, ref, "answer") == nil {
			t.Errorf("%s may be %v", name, spoil)
		}
		if delete(value, name); name != "extra" && fits(value, ref, "answer") == nil {
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
		for method, op := range map[string]any{"GET": item.Get, "POST": item.Post, "PATCH": item.Patch, "HEAD": item.Head, "DELETE": item.Delete} {
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
	at := s.situation("public", true)
	for route, anybody := range optional {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", at.id, "{user}", "owner", "/v1/uploads/{token}", at.upload).Replace(path)
		body := map[bool]string{true: "{}"}[route == "POST /v1/videos"]
		got := s.request("", method, path, body, "Tus-Resumable", "1.0.0", "Upload-Length", "5")
		if (got.status == http.StatusUnauthorized) == anybody {
			t.Errorf("%s without a sign-in: %d, and by the document for everybody: %v", route, got.status, anybody)
		}
	}
}
