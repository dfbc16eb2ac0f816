package schema_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/config/schema"
)

var update = flag.Bool("update", false, "write the schema and the reference to docs/reference")

const (
	source = "../v1alpha1"
	docs   = "../../../docs/reference/"
)

func TestSchemaIsCurrent(t *testing.T) {
	got, err := schema.JSON(source)
	current(t, docs+"fleet.schema.json", got, err)
}

func TestReferenceIsCurrent(t *testing.T) {
	got, err := schema.Reference(source)
	current(t, docs+"fleet-file.md", got, err)
}

// current holds a generated file to what the types say now.
func current(t *testing.T, path string, got []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the types say (run this test with -update):\n%s", path, diff)
	}
}

// TestEverythingIsDescribed keeps the schema useful in an editor: each property
// has a description, and no object takes unknown keys.
func TestEverythingIsDescribed(t *testing.T) {
	text, err := schema.JSON(source)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	objects := map[string]any{"": root}
	maps.Copy(objects, root["$defs"].(map[string]any))
	for name, o := range objects {
		object := o.(map[string]any)
		if object["additionalProperties"] != false {
			t.Errorf("%s takes unknown keys", name)
		}
		for key, p := range object["properties"].(map[string]any) {
			if d, _ := p.(map[string]any)["description"].(string); !strings.HasSuffix(d, ".") {
				t.Errorf("%s.%s: description %q is not a sentence", name, key, d)
			}
		}
	}
}
