// Package openapitest judges answers of the API by what its own document, /openapi.json,
// says of them: for tests, which may judge every answer that they get. It is stricter than
// a client should be: an answer may have nothing that the document doesn't name, although
// the document allows that answers gain fields.
package openapitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Document is /openapi.json. It never changes and may be used by many goroutines.
type Document struct {
	schemas    map[string]any
	operations []operation
}

type operation struct {
	method, path string
	pattern      *regexp.Regexp
	answers      map[string]any // by status
}

// Parse reads a document (OpenAPI 3.1).
func Parse(text []byte) (*Document, error) {
	var all struct {
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the document can't be read: %w", err)
	}
	if len(all.Paths) == 0 || len(all.Components.Schemas) == 0 {
		return nil, errors.New("the document has no paths, or no schemas")
	}
	d := &Document{schemas: all.Components.Schemas}
	for path, item := range all.Paths {
		pattern, err := regexp.Compile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		if err != nil {
			return nil, fmt.Errorf("the path %s: %w", path, err)
		}
		for method, op := range item {
			answers, _ := op["responses"].(map[string]any)
			d.operations = append(d.operations, operation{strings.ToUpper(method), path, pattern, answers})
		}
	}
	// A path without parameters comes first (OpenAPI 3.1, section 4.8.8.2).
	slices.SortStableFunc(d.operations, func(a, b operation) int { return strings.Count(a.path, "{") - strings.Count(b.path, "{") })
	return d, nil
}

var parameter = regexp.MustCompile(`\\\{\w+\\\}`)

// Answer is what came back of a request.
type Answer struct {
	Method, Path string
	Status       int
	ContentType  string
	Body         []byte // whole, and as it was before any Content-Encoding; not looked at for a stream
}

const (
	problemType = "application/problem+json"
	streamType  = "text/event-stream"
	root        = "/v1/"
)

// Check says what of an answer is not as the document has it; nil when all is. Of what is
// not part of the API, such as pages, only the problems are described.
func (d *Document) Check(a Answer) error {
	err := d.check(a)
	if err != nil {
		return fmt.Errorf("%s %s is answered %d %s: %w", a.Method, a.Path, a.Status, a.ContentType, err)
	}
	return nil
}

func (d *Document) check(a Answer) error {
	switch {
	case a.Method == http.MethodHead, a.Method == http.MethodOptions:
		return nil
	case a.ContentType == problemType:
		return d.checkProblem(a)
	case !strings.HasPrefix(a.Path, root):
		return nil
	case a.Status >= http.StatusBadRequest:
		return errors.New("an error that is no problem (RFC 9457)")
	}
	op := d.find(a)
	if op == nil {
		if strings.HasPrefix(a.Path, root+"uploads/") && a.Method == http.MethodPost {
			return nil // in place of another method: tus 1.0, X-HTTP-Method-Override
		}
		return errors.New("the document has no such operation")
	}
	described, ok := op.answers[strconv.Itoa(a.Status)].(map[string]any)
	if !ok {
		return errors.New("the document has no such status")
	}
	return d.checkContent(a, described)
}

func (d *Document) find(a Answer) *operation {
	path := a.Path
	if path == root+"uploads" {
		path += "/" // the same without the slash
	}
	i := slices.IndexFunc(d.operations, func(o operation) bool { return o.method == a.Method && o.pattern.MatchString(path) })
	if i < 0 {
		return nil
	}
	return &d.operations[i]
}

func (d *Document) checkProblem(a Answer) error {
	var said struct{ Status int }
	if json.Unmarshal(a.Body, &said) != nil || said.Status != a.Status {
		return fmt.Errorf("a problem with another status: %s", a.Body)
	}
	return d.checkBody(a.Body, map[string]any{"$ref": "#/components/schemas/Problem"})
}

func (d *Document) checkContent(a Answer, described map[string]any) error {
	content, _ := described["content"].(map[string]any)
	if len(content) == 0 {
		if len(a.Body) > 0 {
			return fmt.Errorf("a body that the document doesn't have: %.200s", a.Body)
		}
		return nil
	}
	media, ok := content[a.ContentType].(map[string]any)
	if !ok {
		return errors.New("the document has no such content type")
	}
	if a.ContentType == streamType || strings.HasPrefix(a.ContentType, "text/html") {
		return nil
	}
	schema, _ := media["schema"].(map[string]any)
	return d.checkBody(a.Body, schema)
}

func (d *Document) checkBody(body []byte, schema map[string]any) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("%w: %.200s", err, body)
	}
	if err := d.fits(value, schema, "answer"); err != nil {
		return fmt.Errorf("%w\n%s", err, body)
	}
	return nil
}

// CheckEvent judges the data of a server-sent event of videos.
func (d *Document) CheckEvent(event string, data []byte) error {
	switch event {
	case "video":
		return d.checkBody(data, map[string]any{"$ref": "#/components/schemas/Video"})
	case "gone":
		var said map[string]string
		if json.Unmarshal(data, &said) != nil || said["id"] == "" || said["code"] == "" || len(said) != 2 {
			return fmt.Errorf("the event gone has the id of a video and a code, not %s", data)
		}
		return nil
	}
	return fmt.Errorf("there is no event %q", event)
}

// Fits says where a value is not as one of the document's schemas has it; nil when it is.
func (d *Document) Fits(schema string, value any) error {
	return d.fits(value, map[string]any{"$ref": "#/components/schemas/" + schema}, "answer")
}

// fits says where a value is not as a schema has it (JSON Schema 2020-12, as far as the
// document uses it). Properties that it doesn't name are refused.
func (d *Document) fits(value any, schema map[string]any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		named, ok := d.schemas[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %s leads nowhere", at, ref)
		}
		return d.fits(value, named, at)
	}
	if choices, ok := schema["oneOf"].([]any); ok {
		return d.fitsOne(value, choices, at)
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
			if err := d.fits(item, items, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return d.fitsObject(value, schema, at)
	}
	return nil
}

func (d *Document) fitsOne(value any, choices []any, at string) error {
	var why []error
	for _, choice := range choices {
		one, _ := choice.(map[string]any)
		err := d.fits(value, one, at)
		if err == nil {
			return nil
		}
		why = append(why, err)
	}
	return fmt.Errorf("%s fits none: %v", at, why)
}

func (d *Document) fitsObject(value, schema map[string]any, at string) error {
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
		if err := d.fits(one, property, at+"."+name); err != nil {
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
