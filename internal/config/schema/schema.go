// Package schema writes what the types of the Fleet file say about it: the JSON
// Schema that editors use, and the reference page. Both come from the types of
// package v1alpha1, their tags and their comments; nothing is said twice. Its
// test holds docs/reference to what it writes (go test -update writes it).
package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
)

const (
	id    = "https://liftlock.dev/schemas/v1alpha1/fleet.json"
	types = "liftlock.dev/liftlock/internal/config/v1alpha1"
)

// scalars describes the values that read themselves from text.
var scalars = map[reflect.Type]jsonschema.Schema{
	reflect.TypeFor[v1alpha1.Duration](): {
		OneOf:    []*jsonschema.Schema{{Enum: []any{0}}, {Type: "string", Pattern: `^([0-9]+d)?([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))*$|^0$`}},
		Examples: []any{"30m", "24h", "7d", "1d12h"},
	},
	reflect.TypeFor[v1alpha1.Amount](): {
		OneOf:    []*jsonschema.Schema{{Type: "integer", Minimum: "1"}, {Type: "string", Pattern: `^([1-9][0-9]?|100)%$|^[1-9][0-9]*$`}},
		Examples: []any{2, "25%"},
	},
	reflect.TypeFor[v1alpha1.Count](): {
		OneOf:    []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: `^([0-9][0-9]?|100)%$|^[0-9]+$`}},
		Examples: []any{0, "10%"},
	},
	reflect.TypeFor[v1alpha1.Size](): {Type: "string", Pattern: `^[0-9]{1,6}(Mi|Gi)$`, Examples: []any{"500Mi", "6Gi"}},
	reflect.TypeFor[v1alpha1.Day](): {
		Type: "string", Enum: []any{
			"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
			"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
		},
	},
	reflect.TypeFor[v1alpha1.TimeOfDay](): {Type: "string", Pattern: `^([0-9]|[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`},
	reflect.TypeFor[v1alpha1.Moment](): {
		Type: "string", Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?$`,
		Examples: []any{"2026-12-20", "2026-12-20T18:00"},
	},
}

// JSON returns the JSON Schema of the Fleet file. source is the folder of
// package v1alpha1, whose comments become the descriptions.
func JSON(source string) ([]byte, error) {
	s, err := reflected(source)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return b.Bytes(), nil
}

// reflected builds the schema from the types.
func reflected(source string) (*jsonschema.Schema, error) {
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if s, ok := scalars[t]; ok {
				return &s
			}
			return nil
		},
	}
	comments, err := read(source)
	if err != nil {
		return nil, err
	}
	r.LookupComment = func(t reflect.Type, field string) string {
		if t.PkgPath() != types {
			return ""
		}
		return comments[strings.TrimSuffix(t.Name()+"."+field, ".")]
	}
	s := r.Reflect(v1alpha1.File{})
	s.ID = id
	s.Title = "Fleet"
	for _, t := range structs() {
		def := s.Definitions[t.Name()]
		if t == reflect.TypeFor[v1alpha1.File]() {
			def = s
		}
		for f := range t.Fields() {
			property, ok := def.Properties.Get(tag(f, "json", ""))
			if !ok {
				return nil, fmt.Errorf("schema of %s has no property for %s", t.Name(), f.Name)
			}
			if err := refine(property, f); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
			}
		}
	}
	return s, nil
}

// refine says of a property what the reflector cannot: defaults of values that
// read themselves, and shorthands.
func refine(property *jsonschema.Schema, f reflect.StructField) error {
	if text := tag(f, "jsonschema", "default"); text != "" && property.Default == nil {
		property.Default = text
		if n, err := strconv.Atoi(text); err == nil {
			property.Default = n
		}
	}
	if f.Type.Kind() == reflect.Map {
		// The values of tags are texts to Azure, and numbers to YAML where they
		// look like some.
		property.AdditionalProperties = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
	}
	if _, ok := reflect.TypeAssert[interface{ SetShorthand(text string) }](reflect.New(f.Type)); ok {
		var words []any
		for _, w := range tags(f.Type.Field(0), "enum") {
			words = append(words, w)
		}
		if len(words) == 0 {
			return fmt.Errorf("has a shorthand, and its first field no words")
		}
		property.AnyOf = []*jsonschema.Schema{{Enum: words}, {Ref: property.Ref}}
		property.Ref = ""
	}
	return nil
}

// structs lists the structures of the file, in the order in which a reader
// meets them.
func structs() []reflect.Type {
	var res []reflect.Type
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return
		}
		seen[t] = true
		res = append(res, t)
		for f := range t.Fields() {
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[v1alpha1.File]())
	return res
}

// tags returns the values that a field's jsonschema tag gives for a key.
func tags(f reflect.StructField, key string) []string {
	const kept = "\x00"
	var res []string
	for part := range strings.SplitSeq(strings.ReplaceAll(f.Tag.Get("jsonschema"), `\,`, kept), ",") {
		if k, v, _ := strings.Cut(part, "="); k == key {
			res = append(res, strings.ReplaceAll(v, kept, ","))
		}
	}
	return res
}

// tag returns the first value of a key in a tag; for the tag json, the name.
func tag(f reflect.StructField, of, key string) string {
	if of == "json" {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	}
	if all := tags(f, key); len(all) > 0 {
		return all[0]
	}
	return ""
}
