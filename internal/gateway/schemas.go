package gateway

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/video"
)

// enumValues are the values of the types of the wire contract, as its tables have them.
var enumValues = map[reflect.Type][]any{
	reflect.TypeFor[video.Stage]():   anyOf(video.Stages),
	reflect.TypeFor[video.Ending]():  anyOf([]video.Ending{video.ByDeletion, video.ByCancellation, video.ByRejection, video.ByExpiry}),
	reflect.TypeFor[video.Command](): anyOf(video.Commands),
}

func anyOf[T ~string](values []T) (all []any) {
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

// describeAnswers makes the schemas of answers say what is so of them and huma can't say
// by itself: an object that may be null, lists that never are, which values there are,
// and that fields may be added. Those of requests stay strict.
func describeAnswers(api *huma.OpenAPI) {
	schemas := api.Components.Schemas.Map()
	for _, own := range []string{"ErrorModel", "ErrorDetail"} { // of huma, and translated before they are sent
		delete(schemas, own)
	}
	requests := requestSchemas(api)
	for name, schema := range schemas {
		ref := "#/components/schemas/" + name
		if t := api.Components.Schemas.TypeFromRef(ref); !requests[ref] && t != nil && t.Kind() == reflect.Struct {
			describeAnswer(schema, t)
		}
	}
}

func describeAnswer(s *huma.Schema, t reflect.Type) {
	s.AdditionalProperties = nil
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		p := s.Properties[name]
		if p == nil {
			continue
		}
		switch of := field.Type; {
		case of.Kind() == reflect.Slice:
			p.Nullable = false
			p.Items.Enum = append(p.Items.Enum, enumValues[of.Elem()]...)
		case of.Kind() == reflect.Pointer && p.Ref != "":
			s.Properties[name] = &huma.Schema{Description: p.Description, OneOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
		case of.Kind() == reflect.Pointer && enumValues[of.Elem()] != nil:
			p.Enum = append(append(p.Enum, enumValues[of.Elem()]...), nil)
		default:
			p.Enum = append(p.Enum, enumValues[of]...)
		}
	}
}

// requestSchemas are the references that lead from the bodies of requests.
func requestSchemas(api *huma.OpenAPI) map[string]bool {
	found := map[string]bool{}
	var follow func(*huma.Schema)
	follow = func(s *huma.Schema) {
		if s == nil {
			return
		}
		if s.Ref != "" && !found[s.Ref] {
			found[s.Ref] = true
			follow(api.Components.Schemas.SchemaFromRef(s.Ref))
		}
		for _, p := range s.Properties {
			follow(p)
		}
		follow(s.Items)
	}
	for _, item := range api.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil && op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil {
				follow(op.RequestBody.Content["application/json"].Schema)
			}
		}
	}
	return found
}
