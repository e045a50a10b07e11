package pages

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// described is an operation of the API on the page /docs, which is made of the
// same document that programs read.
type described struct {
	ID, Method, Path, Summary, Description string
	Fields                                 []field
}

type field struct{ Name, In, Type, Text string }

func describe(api *huma.OpenAPI) view {
	v := view{Title: "The API", Guide: blocksOf(api.Info.Description)}
	for path, item := range api.Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPatch: item.Patch,
			http.MethodDelete: item.Delete, http.MethodHead: item.Head, http.MethodPut: item.Put,
		} {
			if op != nil {
				v.Operations = append(v.Operations, described{
					ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description, Fields: fieldsOf(api, op),
				})
			}
		}
	}
	for name, schema := range api.Components.Schemas.Map() {
		v.Types = append(v.Types, described{ID: name, Fields: properties(api, schema, "")})
	}
	slices.SortFunc(v.Types, func(a, b described) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(v.Operations, func(a, b described) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return v
}

func fieldsOf(api *huma.OpenAPI, op *huma.Operation) (fields []field) {
	for _, p := range op.Parameters {
		fields = append(fields, field{p.Name, p.In, typeOf(p.Schema), cmp.Or(p.Description, p.Schema.Description)})
	}
	if op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil {
		fields = append(fields, properties(api, op.RequestBody.Content["application/json"].Schema, "body")...)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if content := op.Responses[status].Content["application/json"]; content != nil {
			fields = append(fields, properties(api, content.Schema, "answer")...)
		}
	}
	return fields
}

func properties(api *huma.OpenAPI, s *huma.Schema, in string) (fields []field) {
	if s.Ref != "" {
		s = api.Components.Schemas.SchemaFromRef(s.Ref)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		fields = append(fields, field{name, in, typeOf(p), p.Description})
	}
	return fields
}

func typeOf(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return valuesOf(s.Enum)
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Type == huma.TypeArray && s.Items != nil:
		return "list of " + typeOf(s.Items)
	case len(s.OneOf) > 0:
		return typeOf(s.OneOf[0]) + " or " + typeOf(s.OneOf[1])
	case s.Nullable:
		return s.Type + " or null"
	default:
		return s.Type
	}
}

func valuesOf(enum []any) string {
	var values []string
	for _, v := range enum {
		if v == nil {
			v = "null"
		}
		values = append(values, fmt.Sprint(v))
	}
	return strings.Join(values, ", ")
}
