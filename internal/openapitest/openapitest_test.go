package openapitest

import (
	"net/http"
	"testing"
)

const small = `{"paths": {
	"/v1/videos/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Video"}}}}}},
		"delete": {"responses": {"204": {}}}},
	"/v1/events": {"get": {"responses": {"200": {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}}}
}, "components": {"schemas": {
	"Video": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "at": {"type": ["string", "null"], "format": "date-time"}}},
	"Problem": {"type": "object", "required": ["status", "code"], "properties": {"status": {"type": "integer"}, "code": {"type": "string", "enum": ["gone"]}}}
}}}`

const (
	isJSON    = "application/json"
	isProblem = "application/problem+json"
)

// A judge who lets everything pass would be none.
func TestCheck(t *testing.T) {
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		fits bool
		Answer
	}{
		"a video":                  {true, Answer{"GET", "/v1/videos/x", 200, isJSON, []byte(`{"id":"x","at":null}`)}},
		"no id":                    {false, Answer{"GET", "/v1/videos/x", 200, isJSON, []byte(`{"at":null}`)}},
		"a field too much":         {false, Answer{"GET", "/v1/videos/x", 200, isJSON, []byte(`{"id":"x","size":1}`)}},
		"no time":                  {false, Answer{"GET", "/v1/videos/x", 200, isJSON, []byte(`{"id":"x","at":"soon"}`)}},
		"no JSON":                  {false, Answer{"GET", "/v1/videos/x", 200, isJSON, []byte(`<html>`)}},
		"another type":             {false, Answer{"GET", "/v1/videos/x", 200, "text/html", []byte(`{"id":"x"}`)}},
		"another status":           {false, Answer{"GET", "/v1/videos/x", 201, isJSON, []byte(`{"id":"x"}`)}},
		"no such operation":        {false, Answer{"GET", "/v1/videos", 200, isJSON, []byte(`{"id":"x"}`)}},
		"no such method":           {false, Answer{"POST", "/v1/videos/x", 200, isJSON, []byte(`{"id":"x"}`)}},
		"nothing":                  {true, Answer{"DELETE", "/v1/videos/x", 204, "", nil}},
		"something for nothing":    {false, Answer{"DELETE", "/v1/videos/x", 204, isJSON, []byte(`{}`)}},
		"a stream":                 {true, Answer{"GET", "/v1/events", 200, "text/event-stream", nil}},
		"no stream":                {false, Answer{"GET", "/v1/events", 200, isJSON, []byte(`{}`)}},
		"a problem":                {true, Answer{"GET", "/v1/videos/x", 410, isProblem, []byte(`{"status":410,"code":"gone"}`)}},
		"a problem of the page":    {true, Answer{"GET", "/watch/x", 410, isProblem, []byte(`{"status":410,"code":"gone"}`)}},
		"a problem of no code":     {false, Answer{"GET", "/watch/x", 410, isProblem, []byte(`{"status":410,"code":"lost"}`)}},
		"a problem of two minds":   {false, Answer{"GET", "/v1/videos/x", 404, isProblem, []byte(`{"status":410,"code":"gone"}`)}},
		"an error without problem": {false, Answer{"PATCH", "/v1/uploads/x", 404, "text/plain", []byte(`not found`)}},
		"a page":                   {true, Answer{"GET", "/watch/x", 200, "text/html", []byte(`<html>`)}},
		"a page that is none":      {true, Answer{"GET", "/watch/x", 404, "text/html", []byte(`<html>`)}},
		"a HEAD":                   {true, Answer{http.MethodHead, "/v1/videos/x", 404, isProblem, nil}},
	} {
		if err := d.Check(row.Answer); (err == nil) != row.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckEvent(t *testing.T) {
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		event, data string
		fits        bool
	}{
		{"video", `{"id":"x"}`, true}, {"video", `{"id":1}`, false}, {"video", `{"id":"x","more":1}`, false},
		{"gone", `{"id":"x","code":"gone"}`, true}, {"gone", `{"id":"x"}`, false}, {"gone", `gone`, false}, {"other", `{"id":"x"}`, false},
	} {
		if err := d.CheckEvent(row.event, []byte(row.data)); (err == nil) != row.fits {
			t.Errorf("%s %s: %v", row.event, row.data, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, wrong := range []string{"", "{}", `{"paths":{"/":{}}}`, "<html>"} {
		if _, err := Parse([]byte(wrong)); err == nil {
			t.Errorf("%q is a document", wrong)
		}
	}
}
