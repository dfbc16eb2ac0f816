package schema_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"liftlock.dev/liftlock/internal/config/schema"
)

// TestFilesAgree holds the schema to the decoder: what Liftlock accepts, an
// editor accepts; and of the mistakes that a schema can know of, it knows.
func TestFilesAgree(t *testing.T) {
	text, err := schema.JSON(source)
	if err != nil {
		t.Fatal(err)
	}
	var root object
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"../testdata/good/*.yaml", "../../../examples/*.yaml"} {
		for _, path := range glob(t, pattern) {
			if strings.Contains(path, "crlf") || strings.Contains(path, "aliases") {
				continue // those are about YAML, which editors read by themselves
			}
			if complaints := validate(root, root, load(t, path), "", nil); len(complaints) > 0 {
				t.Errorf("%s: the schema refuses what Liftlock accepts:\n\t%s", path, strings.Join(complaints, "\n\t"))
			}
		}
	}
	for _, name := range []string{
		"acceptance-incomplete", "approvals", "bad-names", "channel-is-version", "concurrency", "custom-cloud-over-http",
		"durations", "empty-lists", "failures", "freeze-dates", "key-in-wrong-case", "key-in-wrong-place", "kubernetes-deployment",
		"long-name", "missing-everything", "missing-sources-and-rings", "no-value", "pace", "pace-values", "secrets", "subscription-missing",
		"subscription-name", "surge", "unknown-channel", "unknown-cloud", "unknown-identity", "unknown-keys", "unknown-onclose",
		"unknown-strategy", "unknown-words", "version-with-v", "window-days", "window-times", "windows-empty", "wrong-kind", "wrong-shapes", "wrong-version",
	} {
		if complaints := validate(root, root, load(t, "../testdata/bad/"+name+".yaml"), "", nil); len(complaints) == 0 {
			t.Errorf("%s: the schema accepts what Liftlock refuses", name)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return paths
}

// load reads YAML as JSON would hold it.
func load(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var res any
	if err := json.Unmarshal(text, &res); err != nil {
		t.Fatal(err)
	}
	return res
}

type object = map[string]any

// validate knows as much of JSON Schema as the generated one uses, and fails on
// any keyword that it does not know.
func validate(root, s object, v any, path string, complaints []string) []string {
	bad := func(format string, args ...any) {
		complaints = append(complaints, path+": "+fmt.Sprintf(format, args...))
	}
	for keyword, want := range s {
		switch keyword {
		case "$schema", "$id", "$defs", "title", "description", "examples", "default":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			complaints = validate(root, root["$defs"].(object)[name].(object), v, path, complaints)
		case "type":
			if is := typeOf(v); is != want && (is != "integer" || want != "number") {
				bad("is %s, not %s", is, want)
			}
		case "enum":
			if !slices.ContainsFunc(want.([]any), func(w any) bool { return reflect.DeepEqual(w, v) }) {
				bad("%v is none of %v", v, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad("%q does not match %s", text, want)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				bad("%v is below %v", n, want)
			}
		case "maximum":
			if n, ok := v.(float64); ok && n > want.(float64) {
				bad("%v is above %v", n, want)
			}
		case "minItems":
			if list, ok := v.([]any); ok && len(list) < int(want.(float64)) {
				bad("has too few items")
			}
		case "uniqueItems":
			list, _ := v.([]any)
			for i, item := range list {
				if slices.ContainsFunc(list[:i], func(w any) bool { return reflect.DeepEqual(w, item) }) {
					bad("has %v twice", item)
				}
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				complaints = validate(root, want.(object), item, fmt.Sprintf("%s[%d]", path, i), complaints)
			}
		case "required":
			o, _ := v.(object)
			for _, key := range want.([]any) {
				if _, ok := o[key.(string)]; o != nil && !ok {
					bad("lacks %s", key)
				}
			}
		case "properties", "additionalProperties":
			if keyword == "additionalProperties" {
				continue // below, with the properties
			}
		case "oneOf", "anyOf":
			matches := 0
			for _, alternative := range want.([]any) {
				if len(validate(root, alternative.(object), v, path, nil)) == 0 {
					matches++
				}
			}
			if matches == 0 || (keyword == "oneOf" && matches > 1) {
				bad("%v matches %d of %s", v, matches, keyword)
			}
		default:
			bad("the test does not know the keyword %s", keyword)
		}
	}
	o, _ := v.(object)
	properties, _ := s["properties"].(object)
	for key, value := range o {
		switch p, known := properties[key].(object); {
		case known:
			complaints = validate(root, p, value, path+"."+key, complaints)
		case s["additionalProperties"] == false:
			bad("does not know %s", key)
		case s["additionalProperties"] != nil:
			complaints = validate(root, s["additionalProperties"].(object), value, path+"."+key, complaints)
		}
	}
	return complaints
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
